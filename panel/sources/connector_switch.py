"""Switches the connector on and off at run time. The state is read for each call, so that it holds in all processes."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import db
from panel.storage.models import Switch

_CONNECTOR = "connector"

CONNECTOR_ON = (
    func.coalesce(select(Switch.value).where(Switch.name == _CONNECTOR).scalar_subquery(), "on") == "on"
).label("connector_on")
"""A column for statements that read the switch beside something else."""


class Switches:
    """``close_connections`` is called when a change of the switch is stored."""

    def __init__(self, *, connector_allowed: bool, close_connections: Callable[[], None] = lambda: None) -> None:
        self._close_connections = close_connections
        self.locked_off = not connector_allowed
        """Whether a setting of the deployment switches the connector off, so that it cannot be switched on here."""

    def connector_on(self) -> bool:
        return not self.locked_off and bool(db.session.scalar(select(CONNECTOR_ON)))

    def set_connector(self, *, on: bool, by: Actor) -> None:
        """Switch all outgoing calls on or off, and record a change in the audit log."""
        row = db.session.get(Switch, _CONNECTOR) or Switch(name=_CONNECTOR, value="on")
        if (row.value == "on") is not on:
            audit.record(AuditAction.CONNECTOR_ON if on else AuditAction.CONNECTOR_OFF, by)
        row.value = "on" if on else "off"
        db.session.add(row)
        db.session.commit()
        self._close_connections()
