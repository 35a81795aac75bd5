"""How somebody came to an object's tab. Its views know their visitor and their own addresses only from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import g, request, url_for

from panel.accounts.embed_tokens import THEMES
from panel.accounts.principal import Action, Principal
from panel.core.domain import ObjectRef
from panel.links.service import Visitor
from panel.web.auth.rules import embed_grant
from panel.web.context import admitted, visitor
from panel.web.parsing import object_ref
from panel.web.security_headers import allow_framing_by

EMBEDDED = "embed"
"""Name of the blueprint behind which other applications show the tab."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, for which object, and how the pages on this side of the visit are reached and look."""

    principal: Principal
    object: ObjectRef
    face: str = "tab"
    blueprint: str = "objects"
    theme: str = "auto"
    background: str = ""
    lang: str = "en"
    needs_csrf: bool = True
    """A request that carries its own proof and no cookie needs no second one."""
    keeps_history: bool = True
    """Whether the browser's address follows what is shown."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """What every address of this tab takes along."""
    token: str = field(default="", repr=False)
    """The proof that every request from this page carries, where it is no cookie."""
    expires: float = 0.0
    hosts: tuple[str, ...] = ()
    """Origins of the application that frames this tab."""

    @property
    def visitor(self) -> Visitor:
        return visitor(self.principal, self.face)

    def may(self, action: str) -> bool:
        return self.principal.may(Action(action))

    @property
    def is_admin(self) -> bool:
        return self.principal.is_admin

    def url(self, view: str, **values: Any) -> str:
        """The address of a view of this object's tab."""
        here = self.object
        place: dict[str, Any] = {"register": here.register, "schema": here.schema, "object_id": here.object_id}
        return url_for(f"{self.blueprint}.{view}", **{**place, **self.carried, **values})


def visit() -> Visit:
    """The visit of this request, which the rule book has opened. Raises InvalidInput for an object that cannot be."""
    if request.blueprint == EMBEDDED:
        return _embedded()
    return Visit(
        admitted(),
        object_ref(**g.place),
        blueprint=request.blueprint or "objects",
        theme=_chosen("theme", THEMES) or "auto",
        background=_chosen("bg", ("transparent",)),
        carried=_carried(),
    )


def _embedded() -> Visit:
    """By the token of an embedding application; a session counts for nothing here."""
    held = embed_grant()
    allow_framing_by(" ".join(held.origins))
    carried = {"theme": held.theme, **_carried()}
    return Visit(
        held.principal,
        held.object,
        face=EMBEDDED,
        blueprint=EMBEDDED,
        theme=_chosen("theme", THEMES) or held.theme or "auto",
        background=_chosen("bg", ("transparent",)),
        needs_csrf=False,
        keeps_history=False,
        carried={name: value for name, value in carried.items() if value},
        token=held.token,
        expires=held.expires,
        hosts=held.origins,
    )


def remember_place(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Keep the object's name out of every view's arguments; ``visit`` reads it."""
    taken = ("register", "schema", "object_id")
    g.place = {name: (values or {}).pop(name, "") for name in taken}


def _carried() -> dict[str, str]:
    """The look and the order that were asked for last all along."""
    look = {"theme": _chosen("theme", THEMES), "bg": _chosen("bg", ("transparent",))}
    values = {**look, "sort": request.args.get("sort", "")[:40]}
    return {name: value for name, value in values.items() if value}


def _chosen(name: str, known: tuple[str, ...]) -> str:
    value = request.args.get(name, "")
    return value if value in known else ""
