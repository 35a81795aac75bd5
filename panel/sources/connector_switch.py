"""The connector's on/off, turned while the panel runs. Asked each time, so that every process obeys at once."""

from __future__ import annotations

from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import db
from panel.storage.models import Switch

_CONNECTOR = "connector"


class Switches:
    def __init__(self, *, connector_allowed: bool) -> None:
        self._connector_allowed = connector_allowed

    @property
    def locked_off(self) -> bool:
        """Whether the deployment switched the connector off, so that nobody can turn it on here."""
        return not self._connector_allowed

    def connector_on(self) -> bool:
        if self.locked_off:
            return False
        row = db.session.get(Switch, _CONNECTOR, populate_existing=True)
        return row is None or row.value == "on"

    def turn_connector(self, *, on: bool, by: Actor) -> None:
        row = db.session.get(Switch, _CONNECTOR) or Switch(name=_CONNECTOR, value="on")
        if (row.value == "on") is not on:
            audit.record(AuditAction.CONNECTOR_ON if on else AuditAction.CONNECTOR_OFF, by)
        row.value = "on" if on else "off"
        db.session.add(row)
        db.session.commit()
