"""The stored pointers of objects: rows are read, found, counted, added and removed, and become ``Pointer`` values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from panel.accounts.principal import Limits
from panel.connector import SourceConfig
from panel.core.domain import Item, LinkedObject, LinkedObjects, ObjectRef, Pointer, State
from panel.core.errors import AlreadyLinked, NotFound
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import Link

log = logging.getLogger(__name__)

# Built once, because each list needs it and building it takes longer than running it.
_PAGE = (
    select(Link.reference, Link.linked_by, Link.linked_at, Link.origin, Link.note, func.count().over())
    .where(
        Link.register == bindparam("register"),
        Link.schema == bindparam("schema"),
        Link.object_id == bindparam("object"),
        Link.integration == bindparam("integration"),
    )
    .order_by(Link.linked_at.desc(), Link.id.desc())
    .limit(bindparam("limit", type_=Integer))
    .offset(bindparam("offset", type_=Integer))
)


def as_pointer(leaf: Integration, source: SourceConfig | None, link: Link) -> Pointer:
    """The pointer of a row. Without a source it has no browser address."""
    return Pointer(
        link.reference, _url(leaf, source, link.reference), link.linked_by, link.linked_at, link.origin, link.note
    )


def _url(leaf: Integration, source: SourceConfig | None, reference: str) -> str:
    return leaf.url_for(source, reference) if source is not None else ""


def read_page(
    leaf: Integration, source: SourceConfig | None, obj: ObjectRef, limit: int, page: int
) -> tuple[list[Pointer], int]:
    """One page of pointers, newest first, and how many there are on all pages, in one statement."""
    where = {"register": obj.register, "schema": obj.schema, "object": obj.object_id, "integration": leaf.id}
    values = {**where, "limit": limit, "offset": (page - 1) * limit}
    rows = db.session.execute(_PAGE, values).all()
    if not rows and page > 1:
        # A page past the last one has no row that could carry the count.
        return [], _count(leaf, obj)
    shown = [Pointer(ref, _url(leaf, source, ref), by, at, origin, note) for ref, by, at, origin, note, _ in rows]
    return shown, rows[0][-1] if rows else 0


def _count(leaf: Integration, obj: ObjectRef) -> int:
    return db.session.scalar(select(func.count()).select_from(Link).where(*_of(obj, leaf))) or 0


def find(leaf: Integration, obj: ObjectRef, reference: str) -> Link:
    """Raises NotFound."""
    link = db.session.scalar(select(Link).where(*_of(obj, leaf), Link.reference == reference))
    if link is None:
        raise not_linked(leaf)
    return link


def not_linked(leaf: Integration) -> NotFound:
    return NotFound(_("This {noun} is not linked here.", noun=leaf.descriptor.noun))


def linked_at_new_place(leaf: Integration) -> AlreadyLinked:
    noun = leaf.descriptor.noun
    return AlreadyLinked(
        _("This {noun} is already linked at its new place. Unlink the row of its old place.", noun=noun)
    )


def linked_among(leaf: Integration, obj: ObjectRef, references: Sequence[str]) -> set[str]:
    """Those of ``references`` that the object has a pointer to."""
    return set(db.session.scalars(select(Link.reference).where(*_of(obj, leaf), Link.reference.in_(references))))


def counts(obj: ObjectRef) -> dict[str, int]:
    """The number of pointers by integration."""
    query = select(Link.integration, func.count()).where(*_of(obj)).group_by(Link.integration)
    return {str(integration): count for integration, count in db.session.execute(query)}


@dataclass(frozen=True, slots=True)
class Count:
    """How many pointers there are, and when the newest was made."""

    total: int = 0
    newest: datetime | None = None


def counts_of(objects: Sequence[ObjectRef]) -> dict[tuple[ObjectRef, str], Count]:
    """The pointers of each object and integration that has any, in one statement."""
    named = (Link.register, Link.schema, Link.object_id)
    among = tuple_(*named).in_([(obj.register, obj.schema, obj.object_id) for obj in objects])
    query = select(*named, Link.integration, func.count(), func.max(Link.linked_at)).where(among)
    rows = db.session.execute(query.group_by(*named, Link.integration))
    return {(ObjectRef(r, s, o), integration): Count(n, newest) for r, s, o, integration, n, newest in rows}


def objects_of(
    leaf: Integration, source: SourceConfig | None, reference: str, limits: Limits | None, limit: int, page: int = 1
) -> LinkedObjects:
    """One page of the objects within ``limits`` that point to an item, the newest pointer first."""
    columns = (Link, func.count().over())
    query = select(*columns).where(Link.integration == leaf.id, Link.reference == reference, *_within(limits))
    newest = query.order_by(Link.linked_at.desc(), Link.id.desc())
    rows = db.session.execute(newest.limit(limit).offset((page - 1) * limit)).all()
    if not rows and page > 1:
        return LinkedObjects((), objects_of(leaf, source, reference, limits, 1).total)
    found = (
        LinkedObject(ObjectRef(link.register, link.schema, link.object_id), as_pointer(leaf, source, link))
        for link, _ in rows
    )
    return LinkedObjects(tuple(found), rows[0][-1] if rows else 0)


def _within(limits: Limits | None) -> tuple[Any, ...]:
    """The conditions for the rows that a principal with these limits may see."""
    if limits is None:
        return ()
    registers = () if limits.registers is None else (Link.register.in_(limits.registers),)
    return registers if limits.object is None else (*registers, *_of(limits.object))


def add(
    leaf: Integration, obj: ObjectRef, reference: str, *, by: Actor, action: AuditAction | None = None,
    origin: int | None = None, note: str = "", detail: str = "",
) -> Link | None:  # fmt: skip
    """Store a pointer and commit; None when it exists. The database decides, so that two clicks make one pointer.

    ``action`` is the audit line of a new pointer.
    """
    link = Link(
        register=obj.register, schema=obj.schema, object_id=obj.object_id, integration=leaf.id, reference=reference,
        linked_by=by.name, origin=origin, note=note,
    )  # fmt: skip
    nested = db.session.begin_nested()
    db.session.add(link)
    try:
        db.session.flush()
    except IntegrityError:
        nested.rollback()
        link = None  # type: ignore[assignment]
    else:
        if action is not None:
            audit.record(action, by, subject=reference, obj=obj, integration=leaf.id, detail=detail)
        # The audit line is part of it: on SQLite, releasing the first savepoint of a transaction commits.
        nested.commit()
    db.session.commit()
    return link


def remove(link: Link) -> bool:
    """Delete a row without a commit. False when another request was faster."""
    return bool(db.session.execute(delete(Link).where(Link.id == link.id)).rowcount)  # type: ignore[attr-defined]


def point_to(leaf: Integration, obj: ObjectRef, old: str, item: Item, *, by: Actor) -> Link:
    """Point the row of an item that moved to its new place and commit. Raises as ``repoint``."""
    link = find(leaf, obj, old)
    origin = item.origin if item.origin is not None else link.origin
    return repoint(leaf, obj, old, item.reference, origin, by=by, action=AuditAction.FOLLOW)


def repoint(
    leaf: Integration, obj: ObjectRef, old: str, new: str, origin: int | None, *, by: Actor,
    action: AuditAction = AuditAction.REPOINT,
) -> Link:  # fmt: skip
    """Point the row of ``old`` to another item and commit; who linked it, when and the note stay.

    Raises NotFound when there is no such row (any more), AlreadyLinked when the object has one for the item already.
    """
    link = find(leaf, obj, old)
    same = update(Link).where(Link.id == link.id, Link.reference == old)
    nested = db.session.begin_nested()
    try:
        changed = db.session.execute(same.values(reference=new, origin=origin)).rowcount  # type: ignore[attr-defined]
    except IntegrityError:
        nested.rollback()
        raise _already_linked(leaf, action) from None
    if changed:
        audit.record(action, by, subject=old, obj=obj, integration=leaf.id, detail=f"now {new}")
    # The audit line is part of it, as in ``add``.
    nested.commit()
    db.session.commit()
    if not changed:
        raise not_linked(leaf)
    return link


def _already_linked(leaf: Integration, action: AuditAction) -> AlreadyLinked:
    if action is AuditAction.FOLLOW:
        return linked_at_new_place(leaf)
    return AlreadyLinked(_("This {noun} is already linked.", noun=leaf.descriptor.noun))


def write_note(leaf: Integration, obj: ObjectRef, reference: str, note: str, *, by: Actor) -> None:
    """Store the note of a row and commit. The same note again is no change. Raises NotFound."""
    link = find(leaf, obj, reference)
    if link.note == note:
        return
    link.note = note
    detail = "" if note else "removed"
    audit.record(AuditAction.NOTE, by, subject=reference, obj=obj, integration=leaf.id, detail=detail)
    db.session.commit()


def note_origin(leaf: Integration, obj: ObjectRef, pointer: Pointer, item: Item) -> None:
    """Store the origin of a pointer that was made before origins were stored, and commit.

    It is done while reading, so a failure of our storage only postpones it.
    """
    if pointer.origin is not None or item.origin is None or item.state is not State.LIVE:
        return
    missing = update(Link).where(*_of(obj, leaf), Link.reference == pointer.reference, Link.origin.is_(None))
    try:
        db.session.execute(missing.values(origin=item.origin))
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        log.warning("The origin of a link could not be stored: %s", type(exc).__name__)


def _of(obj: ObjectRef, leaf: Integration | None = None) -> tuple[Any, ...]:
    """The conditions for the rows of an object, of one integration where ``leaf`` is given."""
    conditions = (Link.register == obj.register, Link.schema == obj.schema, Link.object_id == obj.object_id)
    return conditions if leaf is None else (*conditions, Link.integration == leaf.id)
