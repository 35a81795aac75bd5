"""THE service that the faces share: items, search, link, create, update and unlink for an object.

Reads degrade: a listing says why the upstream cannot be shown and still holds the pointers. Writes fail loudly.
Nothing of the upstream is stored; a link is a pointer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from panel.accounts.principal import Action, Principal
from panel.connector import Caller, Connector, SourceConfig, Upstream
from panel.core.domain import Choice, Health, Item, Listing, ObjectRef, Pointer, Reason, Row
from panel.core.errors import (
    AlreadyLinked,
    Conflict,
    InvalidInput,
    NotFound,
    NotSupported,
    PanelError,
    ProviderUnavailable,
    Uncertain,
)
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.sources.checks import (
    SourceChecks,
    health_of_identity,
    health_of_other_instance,
    health_of_problem,
    instance_facts,
)
from panel.sources.instances import Instances
from panel.sources.resolver import SourceResolver
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import CreateIntent, Link

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
FINGERPRINT_S = 60
"""Polling the health of a source asks this rarely which instance it is."""
MAX_SEARCHED = 1000
"""How many pointers of one object a ``_search`` looks through."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and through which face."""

    principal: Principal
    caller: Caller

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.name, self.principal.kind, self.caller.face, self.caller.request_id)


@dataclass(frozen=True, slots=True)
class Found:
    """One picker row. ``linked`` is None when no object was named."""

    item: Item
    linked: bool | None


class Links:
    def __init__(
        self,
        registry: Registry,
        resolver: SourceResolver,
        connector: Connector,
        checks: SourceChecks,
        instances: Instances,
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector
        self._checks = checks
        self._instances = instances

    # --- reading -------------------------------------------------------------------------------------------------

    def listing(
        self,
        visitor: Visitor,
        integration: str,
        obj: ObjectRef,
        *,
        limit: int = DEFAULT_LIMIT,
        page: int = 1,
        search: str = "",
    ) -> Listing:
        """The object's linked items, newest pointer first; with a problem instead of items when they cannot be had.

        An object without links is only called empty after its source proved readable.
        """
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        limit = min(limit, MAX_LIMIT)
        if search:
            return self._searched(visitor, leaf, obj, limit, page, search)
        total = self._count(leaf, obj)
        links = self._page(leaf, obj, limit, page)
        pointers = self._pointers(leaf, links)
        try:
            items = self._items(visitor, leaf, [link.reference for link in links])
        except ProviderUnavailable as exc:
            rows = tuple(Row(pointer, None) for pointer in pointers)
            return Listing(rows, total, page, limit, exc.problem)
        return Listing(tuple(Row(p, items[p.reference]) for p in pointers), total, page, limit)

    def _searched(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, limit: int, page: int, search: str
    ) -> Listing:
        links = self._page(leaf, obj, MAX_SEARCHED, 1)
        pointers = self._pointers(leaf, links)
        try:
            items = self._items(visitor, leaf, [link.reference for link in links])
        except ProviderUnavailable as exc:
            rows = tuple(Row(pointer, None) for pointer in pointers[:limit])
            return Listing(rows, len(pointers), 1, limit, exc.problem)
        words = search.casefold().split()
        hits = [Row(p, items[p.reference]) for p in pointers if _matches(items[p.reference], words)]
        start = (page - 1) * limit
        return Listing(tuple(hits[start : start + limit]), len(hits), page, limit)

    def _items(self, visitor: Visitor, leaf: Integration, references: Sequence[str]) -> Mapping[str, Item]:
        with self._open(visitor, leaf) as upstream:
            if not references:
                leaf.check(upstream)
                return {}
            return leaf.fetch_many(upstream, references)

    def item(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Row:
        """One linked item with its excerpt. Raises NotFound when this object does not point there."""
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        pointer = self._pointer(leaf, self._link(leaf, obj, reference))
        with self._open(visitor, leaf, pointers=[pointer]) as upstream:
            try:
                item = leaf.fetch(upstream, reference, with_excerpt=True)
            except NotFound:
                item = Item.gone(reference, pointer.url)
        return Row(pointer, item)

    def available(
        self, visitor: Visitor, integration: str, text: str, *, limit: int = 25, obj: ObjectRef | None = None
    ) -> list[Found]:
        """What the picker offers for typed text: an address, id or reference is looked up and comes first and alone.

        Raises InvalidInput (WrongHost for an address of another host) and ProviderUnavailable.
        """
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        with self._open(visitor, leaf) as upstream:
            items = self._candidates(leaf, upstream, text.strip(), max(1, min(limit, 100)))
        linked = self._linked_among(leaf, obj, [item.reference for item in items]) if obj else None
        return [Found(item, None if linked is None else item.reference in linked) for item in items]

    def _candidates(self, leaf: Integration, upstream: Upstream, text: str, limit: int) -> Sequence[Item]:
        if text and leaf.looks_like_reference(upstream.source, text):
            try:
                return [leaf.resolve(upstream, text)]
            except NotFound:
                # What looks like a reference may be words all the same ("A.B" in a title).
                if "://" in text:
                    return []
        return leaf.search(upstream, text, limit=limit)

    def counts(self, obj: ObjectRef) -> dict[str, int]:
        """How many pointers each integration has for this object: the numbers in the tab strip."""
        query = select(Link.integration, func.count()).where(*_of(obj)).group_by(Link.integration)
        return {str(integration): count for integration, count in db.session.execute(query)}

    def objects(self, *, limit: int = 200) -> list[tuple[ObjectRef, int]]:
        """Objects that have links, most links first."""
        columns = (Link.register, Link.schema, Link.object_id)
        query = select(*columns, func.count()).group_by(*columns).order_by(func.count().desc(), *columns).limit(limit)
        return [(ObjectRef(r, s, o), n) for r, s, o, n in db.session.execute(query)]

    def health(self, visitor: Visitor, integration: str) -> Health:
        """Ask the upstream now. Never raises for what the world does: the state is in the answer."""
        visitor.principal.require(Action.VIEW, None, integration)
        leaf = self._registry.get(integration)
        try:
            with self._open(visitor, leaf, fresh=True) as upstream:
                health = health_of_identity(leaf.check(upstream))
                facts = upstream.remember("fingerprint", FINGERPRINT_S, lambda: instance_facts(leaf, upstream))
            other_instance = self._instances.note(leaf.id, facts)
            health = health if other_instance is None else health_of_other_instance(health, other_instance, leaf)
        except ProviderUnavailable as exc:
            health = health_of_problem(exc.problem)
        source = self._resolver.find(leaf.id)
        if source is not None:
            self._checks.note(source.id, health, 0)
        return health

    def choices(
        self, visitor: Visitor, integration: str, field: str, values: Mapping[str, str], *, reference: str | None = None
    ) -> list[Choice]:
        """What the upstream offers for a field of the create or update form."""
        visitor.principal.require(Action.VIEW, None, integration)
        leaf = self._registry.get(integration)
        with self._open(visitor, leaf) as upstream:
            return list(leaf.choices(upstream, field, values, reference=reference))

    # --- writing -------------------------------------------------------------------------------------------------

    def link(self, visitor: Visitor, integration: str, obj: ObjectRef, text: str) -> Row:
        """Point from the object to an existing upstream thing, given as address, id or reference.

        Raises InvalidInput("reference"), NotFound when the upstream does not show it, AlreadyLinked.
        """
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        if not text.strip():
            raise InvalidInput("reference", "“reference” is missing: give an address, id or reference.")
        with self._open(visitor, leaf, pointers=self.pointers(leaf, obj), fresh=True) as upstream:
            item = leaf.resolve(upstream, text.strip())
        link = self._add(visitor, leaf, obj, item.reference, AuditAction.LINK)
        if link is None:
            raise AlreadyLinked(f"This {leaf.descriptor.noun} is already linked.")
        return Row(self._pointer(leaf, link), item)

    def create(
        self, visitor: Visitor, integration: str, obj: ObjectRef, values: Mapping[str, Any], *, key: str | None = None
    ) -> Row:
        """Create a thing upstream and point to it. With an idempotency ``key`` it happens once.

        Raises InvalidInput, Rejected, Conflict, Forbidden, ProviderUnavailable, or Uncertain when no answer came.
        """
        visitor.principal.require(Action.CREATE, obj, integration)
        leaf = self._registry.get(integration)
        if not key:
            return self._point(visitor, leaf, obj, self._make(visitor, leaf, obj, values))
        intent, done = self._intend(visitor, leaf, obj, values, key)
        if done:
            return self._repeat(visitor, leaf, obj, intent)
        try:
            item = self._make(visitor, leaf, obj, values)
        except Uncertain:
            # The intent stays: a second try with the same key must not create a second thing.
            raise
        except Exception:
            db.session.rollback()
            db.session.execute(
                delete(CreateIntent).where(CreateIntent.id == intent.id, CreateIntent.reference.is_(None))
            )
            db.session.commit()
            raise
        # From here on the key stays taken: the thing is there, whether our storage takes the pointer or not.
        intent.reference = item.reference
        return self._point(visitor, leaf, obj, item)

    def _make(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, values: Mapping[str, Any]) -> Item:
        try:
            with self._open(visitor, leaf, pointers=self.pointers(leaf, obj), fresh=True) as upstream:
                return leaf.create(upstream, values)
        except PanelError as exc:
            if exc.in_doubt:
                self._note_doubt(AuditAction.CREATE_UNCERTAIN, visitor, leaf, obj)
            raise

    def _point(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, item: Item) -> Row:
        """The pointer to a thing that was just made, which somebody may have linked in the moment since."""
        audit.record(AuditAction.CREATE, visitor.actor, subject=item.reference, obj=obj, integration=leaf.id)
        link = self._add(visitor, leaf, obj, item.reference) or self._link(leaf, obj, item.reference)
        return Row(self._pointer(leaf, link), item)

    def _note_doubt(
        self,
        deed: AuditAction,
        visitor: Visitor,
        leaf: Integration,
        obj: ObjectRef,
        *,
        subject: str = "",
        detail: str = "",
    ) -> None:
        """A write was sent and no whole answer came. That is what the caller must hear, whatever our storage does."""
        try:
            audit.record(deed, visitor.actor, subject=subject, obj=obj, integration=leaf.id, detail=detail)
            db.session.commit()
        except STORAGE_FAILURES as exc:
            db.session.rollback()
            log.error("the audit trail lacks %s of %s: %s", deed.value, visitor.caller.request_id, type(exc).__name__)

    def _intend(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, values: Mapping[str, Any], key: str
    ) -> tuple[CreateIntent, bool]:
        """The intent of this key: a new one, or the one of an earlier try (True). Raises Conflict and Uncertain."""
        request = json.dumps(
            [leaf.id, obj.register, obj.schema, obj.object_id, dict(values)], sort_keys=True, default=str
        )
        wanted = CreateIntent(
            principal=visitor.principal.key,
            key_hash=_hash(key),
            request_hash=_hash(request),
        )
        principal, key_hash, request_hash = wanted.principal, wanted.key_hash, wanted.request_hash
        db.session.add(wanted)
        try:
            db.session.commit()
            return wanted, False
        except IntegrityError:
            db.session.rollback()
        known = db.session.scalar(
            select(CreateIntent).where(CreateIntent.principal == principal, CreateIntent.key_hash == key_hash)
        )
        if known is None:
            raise Conflict("A create with this Idempotency-Key just failed; try again.")
        if known.request_hash != request_hash:
            raise Conflict("This Idempotency-Key was used for another request.")
        if known.reference is None:
            raise Conflict(
                "A create with this Idempotency-Key is under way or ended without an answer. Check before trying again."
            )
        return known, True

    def _repeat(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, intent: CreateIntent) -> Row:
        """The answer of an earlier create, read from the upstream again."""
        reference = str(intent.reference)
        link = self._add(visitor, leaf, obj, reference, AuditAction.LINK) or self._link(leaf, obj, reference)
        pointer = self._pointer(leaf, link)
        with self._open(visitor, leaf, pointers=[pointer], fresh=True) as upstream:
            return Row(pointer, leaf.fetch(upstream, reference))

    def update(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, changes: Mapping[str, Any]
    ) -> Row:
        """Change a linked thing upstream. Raises ChangedUpstream, Rejected, NotSupported, NotFound."""
        visitor.principal.require(Action.UPDATE, obj, integration)
        leaf = self._registry.get(integration)
        pointer = self._pointer(leaf, self._link(leaf, obj, reference))
        named = ", ".join(field.name for field in leaf.descriptor.update if field.name in changes)
        try:
            with self._open(visitor, leaf, pointers=[pointer], fresh=True) as upstream:
                item = leaf.update(upstream, reference, changes)
        except PanelError as exc:
            if exc.in_doubt:
                self._note_doubt(AuditAction.UPDATE_UNCERTAIN, visitor, leaf, obj, subject=reference, detail=named)
            raise
        audit.record(AuditAction.UPDATE, visitor.actor, subject=reference, obj=obj, integration=leaf.id, detail=named)
        db.session.commit()
        return Row(pointer, item)

    def unlink(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> None:
        """Forget the pointer; the upstream is not asked and nothing there changes. Raises NotFound."""
        visitor.principal.require(Action.UNLINK, obj, integration)
        leaf = self._registry.get(integration)
        link = self._link(leaf, obj, reference)
        if not db.session.execute(delete(Link).where(Link.id == link.id)).rowcount:  # type: ignore[attr-defined]
            raise NotFound(f"This {leaf.descriptor.noun} is not linked here.")
        audit.record(AuditAction.UNLINK, visitor.actor, subject=reference, obj=obj, integration=leaf.id)
        db.session.commit()

    # --- rehearsing: what a write would meet, without writing anywhere ---------------------------------------------

    def dry_run_link(self, visitor: Visitor, integration: str, obj: ObjectRef, text: str) -> Item:
        """What ``link`` would point to. Raises what ``link`` would raise."""
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        with self._open(visitor, leaf, pointers=self.pointers(leaf, obj), fresh=True) as upstream:
            item = leaf.resolve(upstream, text.strip())
        if self._linked_among(leaf, obj, [item.reference]):
            raise AlreadyLinked(f"This {leaf.descriptor.noun} is already linked.")
        return item

    def dry_run_create(self, visitor: Visitor, integration: str, values: Mapping[str, Any]) -> None:
        """Check required fields and that the source can be read. Only the upstream knows the rest, once it is asked."""
        visitor.principal.require(Action.CREATE, None, integration)
        leaf = self._registry.get(integration)
        for field in leaf.descriptor.create:
            value = values.get(field.name)
            if field.required and (value is None or not str(value).strip()):
                raise InvalidInput(field.name, f"“{field.name}” is missing.")
        with self._open(visitor, leaf) as upstream:
            leaf.check(upstream)

    def dry_run_update(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, changes: Mapping[str, Any]
    ) -> Row:
        """The thing as ``update`` would find it. Raises NotSupported, InvalidInput, NotFound."""
        visitor.principal.require(Action.UPDATE, obj, integration)
        leaf = self._registry.get(integration)
        known = [field.name for field in leaf.descriptor.update]
        if not known:
            raise NotSupported(f"{leaf.descriptor.label} cannot be changed from here.")
        if not any(name in changes for name in known):
            raise InvalidInput("changes", f"Nothing to change: give {' or '.join(known)}.")
        pointer = self._pointer(leaf, self._link(leaf, obj, reference))
        with self._open(visitor, leaf, pointers=[pointer], fresh=True) as upstream:
            return Row(pointer, leaf.fetch(upstream, reference))

    def dry_run_unlink(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Pointer:
        """The pointer that ``unlink`` would forget. Raises NotFound."""
        visitor.principal.require(Action.UNLINK, obj, integration)
        leaf = self._registry.get(integration)
        return self._pointer(leaf, self._link(leaf, obj, reference))

    # --- pointers ------------------------------------------------------------------------------------------------

    def pointers(self, leaf: Integration, obj: ObjectRef) -> list[Pointer]:
        return self._pointers(leaf, self._page(leaf, obj, DEFAULT_LIMIT, 1))

    def _pointers(self, leaf: Integration, links: Iterable[Link]) -> list[Pointer]:
        shown = self._resolver.shown_config(leaf)
        return [_as_pointer(leaf, shown, link) for link in links]

    def _pointer(self, leaf: Integration, link: Link) -> Pointer:
        return _as_pointer(leaf, self._resolver.shown_config(leaf), link)

    def _count(self, leaf: Integration, obj: ObjectRef) -> int:
        query = select(func.count()).select_from(Link).where(*_of(obj), Link.integration == leaf.id)
        return db.session.scalar(query) or 0

    def _page(self, leaf: Integration, obj: ObjectRef, limit: int, page: int) -> list[Link]:
        query = (
            select(Link).where(*_of(obj), Link.integration == leaf.id).order_by(Link.linked_at.desc(), Link.id.desc())
        )
        return list(db.session.scalars(query.limit(limit).offset((page - 1) * limit)))

    def _link(self, leaf: Integration, obj: ObjectRef, reference: str) -> Link:
        query = select(Link).where(*_of(obj), Link.integration == leaf.id, Link.reference == reference)
        link = db.session.scalar(query)
        if link is None:
            raise NotFound(f"This {leaf.descriptor.noun} is not linked here.")
        return link

    def _linked_among(self, leaf: Integration, obj: ObjectRef, references: Sequence[str]) -> set[str]:
        query = select(Link.reference).where(*_of(obj), Link.integration == leaf.id, Link.reference.in_(references))
        return set(db.session.scalars(query))

    def _add(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, reference: str, deed: AuditAction | None = None
    ) -> Link | None:
        """Store a pointer; None when it was there already. The database decides, so that two clicks make one.

        ``deed`` names the line of the audit trail for a pointer that was not there.
        """
        link = Link(
            register=obj.register, schema=obj.schema, object_id=obj.object_id, integration=leaf.id, reference=reference,
            linked_by=visitor.principal.name,
        )  # fmt: skip
        nested = db.session.begin_nested()
        db.session.add(link)
        try:
            db.session.flush()
        except IntegrityError:
            nested.rollback()
            link = None  # type: ignore[assignment]
        else:
            if deed is not None:
                audit.record(deed, visitor.actor, subject=reference, obj=obj, integration=leaf.id)
            # The line is in it: on SQLite, releasing the first savepoint of a transaction commits.
            nested.commit()
        db.session.commit()
        return link

    def _open(
        self, visitor: Visitor, leaf: Integration, *, pointers: Iterable[Pointer] = (), fresh: bool = False
    ) -> _Conversation:
        return _Conversation(self, visitor, leaf, tuple(pointers), fresh)

    def start(self, visitor: Visitor, leaf: Integration, *, fresh: bool) -> Upstream:
        """A conversation with the source of a leaf. Raises ProviderUnavailable with the cause."""
        config = self._resolver.config_for(leaf)
        # No database connection is held while an upstream is waited for.
        db.session.commit()
        return self._connector.open(config, visitor.caller, judge=leaf.judge, fresh=fresh)

    def note(self, slug: str, caller: Caller, reason: Reason) -> None:
        """Keep in the call log what somebody was told, so that its reference is found also when nothing was sent."""
        self._connector.journal.note(slug, caller, reason)


class _Conversation:
    """Opens the upstream and, when it fails, says for which integration and which pointers."""

    def __init__(
        self, links: Links, visitor: Visitor, leaf: Integration, pointers: tuple[Pointer, ...], fresh: bool
    ) -> None:
        self._links, self._visitor, self._leaf, self._pointers, self._fresh = links, visitor, leaf, pointers, fresh
        self._upstream: Upstream | None = None

    def __enter__(self) -> Upstream:
        try:
            self._upstream = self._links.start(self._visitor, self._leaf, fresh=self._fresh)
        except ProviderUnavailable as exc:
            self._tell(exc)
            raise
        return self._upstream.__enter__()

    def __exit__(self, kind: Any, exc: BaseException | None, trace: Any) -> None:
        if self._upstream is not None:
            self._upstream.__exit__(kind, exc, trace)
        if isinstance(exc, ProviderUnavailable | Uncertain):
            self._tell(exc)

    def _tell(self, exc: ProviderUnavailable | Uncertain) -> None:
        exc.integration, exc.pointers = self._leaf.id, self._pointers
        if isinstance(exc, ProviderUnavailable):
            self._links.note(self._leaf.id, self._visitor.caller, exc.reason)


def _of(obj: ObjectRef) -> tuple[Any, ...]:
    return Link.register == obj.register, Link.schema == obj.schema, Link.object_id == obj.object_id


def _as_pointer(leaf: Integration, shown: SourceConfig | None, link: Link) -> Pointer:
    url = leaf.url_for(shown, link.reference) if shown is not None else ""
    return Pointer(link.reference, url, link.linked_by, link.linked_at)


def _matches(item: Item, words: Sequence[str]) -> bool:
    facts = " ".join(value for value in item.facts.values() if isinstance(value, str))
    text = f"{item.title} {item.reference} {facts}".casefold()
    return all(word in text for word in words)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
