"""Open updates: changes of linked items that are under way, or that the audit trail lacks.

A row is committed before a change is sent and removed with the audit line, so that a failure of our storage leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, select, update

from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.core.errors import Conflict, NotFound
from panel.core.messages import _
from panel.links.open_creates import LONGEST
from panel.logs.audit import Actor
from panel.storage.engine import db
from panel.storage.models import OpenUpdate


def begin(actor: Actor, integration: str, obj: ObjectRef, reference: str, fields: str) -> int:
    """Commit a new row and return its id. ``fields`` names what is changed."""
    opened = OpenUpdate(
        integration=integration, register=obj.register, schema=obj.schema, object_id=obj.object_id,
        reference=reference[:1000], fields=fields[:500], who=actor.name[:200], face=actor.face[:20],
        request_id=actor.request_id[:20],
    )  # fmt: skip
    db.session.add(opened)
    db.session.flush()
    id_ = opened.id
    db.session.commit()
    return id_


def close(id_: int) -> None:
    """Remove the row of a change that the audit trail has now, or that was refused. The caller commits."""
    db.session.execute(delete(OpenUpdate).where(OpenUpdate.id == id_))


def note_made(id_: int) -> None:
    """Note that the upstream made the change, and commit. The row stays, because the audit trail lacks it."""
    db.session.execute(update(OpenUpdate).where(OpenUpdate.id == id_).values(is_made=True))
    db.session.commit()


def all_open() -> Sequence[OpenUpdate]:
    """All rows, oldest first, those under way included."""
    return db.session.scalars(select(OpenUpdate).order_by(OpenUpdate.started_at, OpenUpdate.id)).all()


def unrecorded_count() -> int:
    """How many changes the audit trail lacks."""
    return db.session.scalar(select(func.count()).select_from(OpenUpdate).where(_has_ended())) or 0


def is_under_way(opened: OpenUpdate) -> bool:
    """Whether a process may still be waiting for the answer."""
    return not opened.is_made and opened.started_at > now() - LONGEST


def find(id_: int) -> OpenUpdate:
    """The row, to be settled. Raises NotFound, and Conflict while the change is under way."""
    opened = db.session.get(OpenUpdate, id_)
    if opened is None:
        raise NotFound(_("This change is settled already."))
    if is_under_way(opened):
        raise Conflict(_("This change may still be under way. Try again in a few minutes."))
    return opened


def _has_ended() -> ColumnElement[bool]:
    return OpenUpdate.is_made | (OpenUpdate.started_at <= now() - LONGEST)
