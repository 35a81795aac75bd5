"""The connector's on/off, turned while the panel runs. Asked each time, so that every process obeys at once."""

from __future__ import annotations

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
    def __init__(self, *, connector_allowed: bool) -> None:
        self.locked_off = not connector_allowed
        """Whether the deployment switched the connector off, so that nobody can turn it on here."""

    def connector_on(self) -> bool:
        return not self.locked_off and bool(db.session.scalar(select(CONNECTOR_ON)))

    def turn_connector(self, *, on: bool, by: Actor) -> None:
        row = db.session.get(Switch, _CONNECTOR) or Switch(name=_CONNECTOR, value="on")
        if (row.value == "on") is not on:
            audit.record(AuditAction.CONNECTOR_ON if on else AuditAction.CONNECTOR_OFF, by)
        row.value = "on" if on else "off"
        db.session.add(row)
        db.session.commit()
