"""How somebody came to an object's tab. Its views know their visitor and their own addresses only from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import g, request, url_for

from panel.access import Action, Principal
from panel.domain import ObjectRef
from panel.errors import InvalidInput
from panel.faces.context import visitor
from panel.faces.session import signed_in
from panel.links import Visitor

THEMES = ("light", "dark", "auto")


@dataclass(frozen=True, slots=True)
class Door:
    """Who asks, for which object, and how the pages on this side of the door are reached and look."""

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


def door() -> Door:
    """The door of this request. Raises SignInNeeded, and InvalidInput for an object that cannot be.

    This is the one place where a request to the tab proves who makes it.
    """
    principal = signed_in()
    return Door(
        principal,
        object_ref(**g.place),
        blueprint=request.blueprint or "objects",
        theme=_chosen("theme", THEMES) or "auto",
        background=_chosen("bg", ("transparent",)),
        carried=_carried(),
    )


def remember_place(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Keep the object's name out of every view's arguments; ``door`` reads it."""
    taken = ("register", "schema", "object_id")
    g.place = {name: (values or {}).pop(name, "") for name in taken}


def object_ref(register: str, schema: str, object_id: str) -> ObjectRef:
    """Our side of a link from the parts of an address. Raises InvalidInput naming the part."""
    for name, value in (("register", register), ("schema", schema), ("objectId", object_id)):
        if not value.strip() or len(value) > 255 or not value.isprintable():
            raise InvalidInput(name, f"“{name}” must be 1 to 255 printable characters.")
    return ObjectRef(register, schema, object_id)


def _carried() -> dict[str, str]:
    """The look and the order that were asked for last all along."""
    look = {"theme": _chosen("theme", THEMES), "bg": _chosen("bg", ("transparent",))}
    values = {**look, "sort": request.args.get("sort", "")[:40]}
    return {name: value for name, value in values.items() if value}


def _chosen(name: str, known: tuple[str, ...]) -> str:
    value = request.args.get(name, "")
    return value if value in known else ""
