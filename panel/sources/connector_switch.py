"""Switches the connector on and off at run time. The state is read for each call, so that it holds in all processes."""

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
        """Whether a setting of the deployment switches the connector off, so that it cannot be switched on here."""
        return not self._connector_allowed

    def connector_on(self) -> bool:
        if self.locked_off:
            return False
        row = db.session.get(Switch, _CONNECTOR, populate_existing=True)
        return row is None or row.value == "on"

    def set_connector(self, *, on: bool, by: Actor) -> None:
        """Switch all outgoing calls on or off, and record a change in the audit log."""
        row = db.session.get(Switch, _CONNECTOR) or Switch(name=_CONNECTOR, value="on")
        if (row.value == "on") is not on:
            audit.record(AuditAction.CONNECTOR_ON if on else AuditAction.CONNECTOR_OFF, by)
        row.value = "on" if on else "off"
        db.session.add(row)
        db.session.commit()
