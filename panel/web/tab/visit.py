"""The context of a request for the tab: principal, object, appearance, and the addresses of the views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import g, request, url_for

from panel.accounts.embed_tokens import THEMES
from panel.accounts.principal import Action, Principal
from panel.core.domain import ObjectRef
from panel.links.visitor import Visitor
from panel.web import zone
from panel.web.auth.rules import embed_grant
from panel.web.context import admitted, visitor
from panel.web.language import PARAMETER, supported
from panel.web.parsing import object_ref
from panel.web.security_headers import allow_framing_by
from panel.web.tab.list_query import LIST_PARAMETERS, PAGE, list_parameters

SEARCH = "search"
"""Name of the view of search results, whose addresses have pages of their own."""
EMBEDDED = "embed"
"""Name of the blueprint that serves the tab to iframes of other applications."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The principal, the object and the appearance of the tab in one request."""

    principal: Principal
    object: ObjectRef
    face: str = "tab"
    blueprint: str = "objects"
    theme: str = "auto"
    background: str = ""
    needs_csrf: bool = True
    """False with an embed token: without a cookie there is no cross-site request forgery."""
    keeps_history: bool = True
    """Whether the address bar and the history follow the view."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """Query parameters of every address of this tab."""
    token: str = field(default="", repr=False)
    """The embed token, which every request from this page sends; "" with a session."""
    expires: float = 0.0
    """Expiry of the token, in seconds since 1970."""
    hosts: tuple[str, ...] = ()
    """Origins of the application whose iframe shows this tab."""
    title: str = ""
    """The name of the object, if the application signed one."""
    prefill: Mapping[str, str] = field(default_factory=dict)
    """Values with which the create form starts, as the application signed them."""

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
        reference: dict[str, Any] = {"register": here.register, "schema": here.schema, "object_id": here.object_id}
        # A page of search results is none of the list.
        carried = {name: value for name, value in self.carried.items() if view != SEARCH or name != PAGE}
        return url_for(f"{self.blueprint}.{view}", **{**reference, **carried, **values})

    def tab_url(self, integration: str) -> str:
        """The address of a leaf's whole list in its default order."""
        return self.url("listing", **{**dict.fromkeys(LIST_PARAMETERS), "integration": integration})


def visit() -> Visit:
    """The visit of this request, which the access rules admitted. Raises InvalidInput for a malformed reference."""
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
    """A visit by embed token. A session is ignored: the iframe gets the rights of the token only."""
    grant = embed_grant()
    allow_framing_by(" ".join(grant.origins))
    carried = {"theme": grant.theme, **_carried()}
    return Visit(
        grant.principal,
        grant.object,
        face=EMBEDDED,
        blueprint=EMBEDDED,
        theme=_chosen("theme", THEMES) or grant.theme or "auto",
        background=_chosen("bg", ("transparent",)),
        needs_csrf=False,
        keeps_history=False,
        carried={name: value for name, value in carried.items() if value},
        token=grant.token,
        expires=grant.expires,
        hosts=grant.origins,
        title=grant.title,
        prefill=grant.prefill,
    )


def take_object_reference(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Move the object reference from the arguments of the view to ``g.place``, for ``visit`` and the access rules."""
    g.place = {name: (values or {}).pop(name, "") for name in ("register", "schema", "object_id")}


def _carried() -> dict[str, str]:
    """Theme, background, language, time zone and part of the list of the request, for the addresses on its page."""
    look = {"theme": _chosen("theme", THEMES), "bg": _chosen("bg", ("transparent",))}
    look |= {PARAMETER: supported(request.args.get(PARAMETER, "")), zone.PARAMETER: zone.carried_zone()}
    of_list = list_parameters(request.args)
    if (request.endpoint or "").endswith(f".{SEARCH}"):
        of_list.pop(PAGE, None)
    return {**{name: value for name, value in look.items() if value}, **of_list}


def _chosen(name: str, known: tuple[str, ...]) -> str:
    value = request.args.get(name, "")
    return value if value in known else ""
