"""Records of writes to the upstream: what is stored after one ended, was refused, or got no complete answer."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from panel.core.domain import ObjectRef
from panel.core.errors import (
    NotRecorded,
)
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.links import open_creates, open_updates
from panel.links.visitor import Visitor
from panel.logs import audit
from panel.logs.audit import AuditAction
from panel.storage.engine import STORAGE_FAILURES, db

log = logging.getLogger(__name__)


def record_uncertain(
    action: AuditAction, visitor: Visitor, leaf: Integration, obj: ObjectRef, *, subject: str = "", detail: str = "",
    also: Callable[[], object] = lambda: None,
) -> None:  # fmt: skip
    """Record a write that was sent and got no complete answer. A failure of our storage does not hide that failure.

    ``also`` changes the record of the open write in the same transaction.
    """
    try:
        also()
        audit.record(action, visitor.actor, subject=subject, obj=obj, integration=leaf.id, detail=detail)
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        log.error("the audit trail lacks %s of %s: %s", action.value, visitor.caller.request_id, type(exc).__name__)


def record_updated(
    visitor: Visitor, leaf: Integration, obj: ObjectRef, reference: str, named: str, opened: int
) -> None:
    """Replace the record of an open update by its line in the audit trail. Raises NotRecorded."""
    try:
        open_updates.close(opened)
        audit.record(AuditAction.UPDATE, visitor.actor, subject=reference, obj=obj, integration=leaf.id, detail=named)
        db.session.commit()
    except SQLAlchemyError as exc:
        log.error("the audit trail lacks update of %s: %s", visitor.caller.request_id, type(exc).__name__)
        _note(lambda: open_updates.note_made(opened))
        sentence = _(
            "The change was made in {upstream}; it could not be recorded here.", upstream=leaf.descriptor.upstream
        )
        raise NotRecorded(sentence) from exc


def record_not_updated(
    visitor: Visitor, leaf: Integration, obj: ObjectRef, reference: str, named: str, opened: int, *, in_doubt: bool
) -> None:
    """Remove the record of an open update that was refused; one that may have been made gets its line instead."""

    def close() -> None:
        open_updates.close(opened)

    if in_doubt:
        action = AuditAction.UPDATE_UNCERTAIN
        record_uncertain(action, visitor, leaf, obj, subject=reference, detail=named, also=close)
    else:
        abandon(visitor, close)


def abandon(visitor: Visitor, close: Callable[[], object]) -> None:
    """Remove the record of a failed write. A failure of our storage leaves it and does not hide that failure."""
    try:
        db.session.rollback()
        close()
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        log.error("the record of the open write of %s stays: %s", visitor.caller.request_id, type(exc).__name__)


def note_created(visitor: Visitor, opened: int, reference: str, cause: Exception) -> None:
    """Note what was created but could not be linked, in the log and, if our storage takes it, in the open create."""
    log.error("%s created %s and could not link it: %s", visitor.caller.request_id, reference, type(cause).__name__)
    _note(lambda: open_creates.note_reference(opened, reference))


def _note(work: Callable[[], object]) -> None:
    """Do ``work`` if our storage takes it, after it has failed."""
    try:
        db.session.rollback()
        work()
    except SQLAlchemyError:
        db.session.rollback()
