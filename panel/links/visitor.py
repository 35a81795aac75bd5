"""The visitor of a service: the principal of a request, and the way in that it uses."""

from __future__ import annotations

from dataclasses import dataclass

from panel.accounts.principal import Principal
from panel.connector import Caller
from panel.logs.audit import Actor


@dataclass(frozen=True, slots=True)
class Visitor:
    """The principal of a request, and the way in that it uses."""

    principal: Principal
    caller: Caller

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.shown_name, self.principal.kind, self.caller.face, self.caller.request_id)
