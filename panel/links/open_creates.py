"""Open creates: creates that are under way, or whose end is not known.

A row is committed before a create is sent and removed once its end is known, so that a killed process leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, select, update

from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.core.errors import Conflict, NotFound
from panel.core.messages import _
from panel.logs.audit import Actor
from panel.storage.engine import db
from panel.storage.models import CreateIntent, OpenCreate

LONGEST = timedelta(minutes=5)
"""Longer than any request lasts. An older create whose end nobody recorded was cut off."""


def begin(actor: Actor, integration: str, obj: ObjectRef, intent: CreateIntent | None) -> int:
    """Commit a new row, together with the intent of an idempotency key. Returns its id."""
    opened = OpenCreate(
        integration=integration, register=obj.register, schema=obj.schema, object_id=obj.object_id,
        who=actor.name[:200], face=actor.face[:20], request_id=actor.request_id[:20],
        intent_id=None if intent is None else intent.id,
    )  # fmt: skip
    db.session.add(opened)
    db.session.flush()
    id_ = opened.id
    db.session.commit()
    return id_


def close(id_: int, reference: str) -> None:
    """Remove the row of a create that made ``reference``, which its key then stands for. The caller commits."""
    _keep_reference(id_, reference)
    db.session.execute(delete(OpenCreate).where(OpenCreate.id == id_))


def abandon(id_: int) -> None:
    """Remove the row of a create that made nothing, free its key, and commit."""
    db.session.execute(delete(CreateIntent).where(CreateIntent.id == _intent_of(id_), CreateIntent.reference.is_(None)))
    db.session.execute(delete(OpenCreate).where(OpenCreate.id == id_))
    db.session.commit()


def mark_unanswered(id_: int) -> None:
    """Note that the create got no answer. The caller commits."""
    db.session.execute(update(OpenCreate).where(OpenCreate.id == id_).values(is_unanswered=True))


def note_reference(id_: int, reference: str) -> None:
    """Note what the create made, and commit. The row stays, because the item could not be linked."""
    db.session.execute(update(OpenCreate).where(OpenCreate.id == id_).values(reference=reference[:1000]))
    _keep_reference(id_, reference)
    db.session.commit()


def close_of_intent(intent: CreateIntent) -> None:
    """Remove the row of an intent whose item is linked now. The caller commits."""
    db.session.execute(delete(OpenCreate).where(OpenCreate.intent_id == intent.id))


def all_open() -> Sequence[OpenCreate]:
    """All rows, oldest first, those under way included."""
    return db.session.scalars(select(OpenCreate).order_by(OpenCreate.started_at, OpenCreate.id)).all()


def unknown_count() -> int:
    """How many creates ended without an answer."""
    return db.session.scalar(select(func.count()).select_from(OpenCreate).where(_has_ended())) or 0


def is_under_way(opened: OpenCreate) -> bool:
    """Whether a process may still be waiting for the answer."""
    return not opened.is_unanswered and not opened.reference and opened.started_at > now() - LONGEST


def find(id_: int) -> OpenCreate:
    """The row, to be settled. Raises NotFound, and Conflict while the create is under way."""
    opened = db.session.get(OpenCreate, id_)
    if opened is None:
        raise NotFound(_("This create is settled already."))
    if is_under_way(opened):
        raise Conflict(_("This create may still be under way. Try again in a few minutes."))
    return opened


def _has_ended() -> ColumnElement[bool]:
    return OpenCreate.is_unanswered | (OpenCreate.reference != "") | (OpenCreate.started_at <= now() - LONGEST)


def _intent_of(id_: int) -> ScalarSelect[int | None]:
    return select(OpenCreate.intent_id).where(OpenCreate.id == id_).scalar_subquery()


def _keep_reference(id_: int, reference: str) -> None:
    db.session.execute(update(CreateIntent).where(CreateIntent.id == _intent_of(id_)).values(reference=reference))
