"""The service that all ways in share: items, search, link, create, update and unlink for an object.

Reads degrade: a listing says why the upstream cannot be read and still holds the pointers. Writes fail loudly.
Nothing of the upstream is stored; a link is a pointer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from panel.accounts.principal import Action, Principal
from panel.connector import Caller, Connector, Upstream
from panel.core.domain import Choices, Health, Item, Listing, ObjectRef, Pointer, Problem, Row
from panel.core.errors import (
    AlreadyLinked,
    InvalidInput,
    NotFound,
    NotRecorded,
    PanelError,
    ProviderUnavailable,
    Uncertain,
)
from panel.core.text import trimmed
from panel.core.text_limits import REFERENCE_LENGTH, refuse_longer
from panel.integrations.contract import AskedField, Integration, creating
from panel.integrations.registry import Registry
from panel.links import idempotency, open_creates, open_updates, pointers
from panel.links.locate import located
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
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
from panel.sources.resolver import ResolvedSource, SourceResolver
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import CreateIntent, Link, OpenCreate, OpenUpdate

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
FINGERPRINT_S = 60
"""Health polls read the fingerprint of an instance at most once in this time."""
MAX_SEARCHED = 1000
"""How many pointers of one object a ``_search`` looks through."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visitor:
    """The principal of a request, and the way in that it uses."""

    principal: Principal
    caller: Caller

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.shown_name, self.principal.kind, self.caller.face, self.caller.request_id)


@dataclass(frozen=True, slots=True)
class Found:
    """One picker row. ``linked`` is None when no object was named."""

    item: Item
    linked: bool | None


@dataclass(slots=True)
class LinkedAll:
    """What came of linking several references."""

    rows: list[Row] = field(default_factory=list)
    refused: PanelError | None = None
    """The last failure."""
    left: Sequence[str] = ()
    """What was not tried to its end, as typed."""
    seconds_left: float | None = None
    """What is left of the deadline; None when no call was made."""


class Links:
    """Every method checks the rights of its visitor first: NotFound outside of their limits, Forbidden."""

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
        problem: Problem | None = None,
        deadline_s: float | None = None,
        fresh: bool = False,
    ) -> Listing:
        """The object's linked items, newest pointer first; a problem instead of items when they cannot be read.

        An object without links is only called empty after its source proved readable. With a ``problem`` that this
        request has met already, the source is not asked again. ``deadline_s`` is what is left of the request's time.
        ``fresh`` asks the upstream past caches, and again for what it did not show a moment ago.
        """
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        limit = min(limit, MAX_LIMIT)
        if search:
            return self._searched(visitor, leaf, obj, limit, page, search)
        source = self._resolver.resolve(leaf)
        shown, total = pointers.read_page(leaf, source.config, obj, limit, page)
        try:
            if problem is not None:
                raise ProviderUnavailable(problem)
            items, until = self._items(visitor, leaf, source, shown, deadline_s=deadline_s, fresh=fresh)
        except ProviderUnavailable as exc:
            rows = tuple(Row(pointer, None) for pointer in shown)
            # What the source itself lacks changes with the database only.
            until = math.inf if exc.problem is source.problem else 0.0
            return Listing(rows, total, page, limit, exc.problem, until)
        return Listing(tuple(Row(p, items[p.reference]) for p in shown), total, page, limit, None, until)

    def _searched(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, limit: int, page: int, search: str
    ) -> Listing:
        source = self._resolver.resolve(leaf)
        shown, _ = pointers.read_page(leaf, source.config, obj, MAX_SEARCHED, 1)
        try:
            items, until = self._items(visitor, leaf, source, shown)
        except ProviderUnavailable as exc:
            rows = tuple(Row(pointer, None) for pointer in shown[:limit])
            return Listing(rows, len(shown), 1, limit, exc.problem)
        words = search.casefold().split()
        hits = [Row(p, items[p.reference]) for p in shown if _matches(items[p.reference], words)]
        start = (page - 1) * limit
        return Listing(tuple(hits[start : start + limit]), len(hits), page, limit, None, until)

    def _items(
        self, visitor: Visitor, leaf: Integration, source: ResolvedSource, shown: Sequence[Pointer],
        *, deadline_s: float | None = None, fresh: bool = False,
    ) -> tuple[Mapping[str, Item], float]:  # fmt: skip
        """The items by reference, and until when they hold, on the monotonic clock."""
        with open_upstream(
            self._connector, leaf, source, visitor.caller, deadline_s=deadline_s, fresh=fresh
        ) as upstream:
            if not shown:
                leaf.check_list(upstream)
                return {}, upstream.holds_until
            items = leaf.fetch_many(upstream, [pointer.reference for pointer in shown])
            return located(leaf, upstream, items, shown), upstream.holds_until

    def item(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Row:
        """One linked item with its excerpt. Raises NotFound when this object does not point there."""
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        link, source = pointers.find(leaf, obj, reference), self._resolver.resolve(leaf)
        pointer = pointers.as_pointer(leaf, source.config, link)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=[pointer]) as upstream:
            try:
                item = leaf.fetch(upstream, reference, with_excerpt=True)
            except NotFound:
                item = Item.gone(reference, pointer.url)
            item = located(leaf, upstream, {reference: item}, [pointer])[reference]
        pointers.note_origin(leaf, obj, pointer, item)
        return Row(pointer, item)

    def available(
        self, visitor: Visitor, integration: str, text: str, *, limit: int = 25, obj: ObjectRef | None = None
    ) -> list[Found]:
        """The picker's rows for typed text. An address, id or reference is looked up and is the only row.

        Raises InvalidInput (WrongHost for an address of another host) and ProviderUnavailable.
        """
        obj = visitor.principal.require_search(obj, integration)
        leaf = self._registry.get(integration)
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            items = _candidates(leaf, upstream, text, max(1, min(limit, 100)))
        linked = pointers.linked_among(leaf, obj, [item.reference for item in items]) if obj else None
        return [Found(item, None if linked is None else item.reference in linked) for item in items]

    def counts(self, obj: ObjectRef) -> dict[str, int]:
        """The number of pointers of this object by integration: the numbers in the tab strip."""
        return pointers.counts(obj)

    def objects(self, *, limit: int = 200) -> list[tuple[ObjectRef, int]]:
        """Objects that have links, most links first."""
        return pointers.linked_objects(limit)

    def health(self, visitor: Visitor, integration: str) -> Health:
        """Check the upstream now. A failure of the upstream or its source is in the answer and is not raised."""
        visitor.principal.require(Action.VIEW, None, integration)
        leaf = self._registry.get(integration)
        source = self._resolver.resolve(leaf)
        try:
            with open_upstream(self._connector, leaf, source, visitor.caller, fresh=True) as upstream:
                health = health_of_identity(leaf.check(upstream), signs_in=upstream.source.signs_in)
                facts = upstream.remember("fingerprint", FINGERPRINT_S, lambda: instance_facts(leaf, upstream))
            other_instance = self._instances.note(leaf.id, facts)
            health = health if other_instance is None else health_of_other_instance(health, other_instance, leaf)
        except ProviderUnavailable as exc:
            health = health_of_problem(exc.problem)
        if source.source_id is not None:
            self._checks.note(source.source_id, health, 0)
        return health

    def choices(
        self,
        visitor: Visitor,
        integration: str,
        field: str,
        values: Mapping[str, str],
        *,
        search: str = "",
        obj: ObjectRef | None = None,
        reference: str | None = None,
    ) -> Choices:
        """The upstream's choices for a field of the create form, or of the update form of a linked ``reference``."""
        leaf = self._leaf_of_form(visitor, integration, obj, reference)
        if obj is not None and reference is None and not search:
            values = {**_beside_newest(visitor, leaf, obj), **{name: text for name, text in values.items() if text}}
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            return leaf.find_choices(upstream, field, values, search=search, reference=reference)

    def asked_fields(
        self,
        visitor: Visitor,
        integration: str,
        names: Sequence[str],
        values: Mapping[str, str],
        *,
        obj: ObjectRef | None = None,
        reference: str | None = None,
    ) -> Sequence[AskedField]:
        """The fields that the upstream named when it refused a create, or a change of a linked ``reference``."""
        leaf = self._leaf_of_form(visitor, integration, obj, reference)
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            return leaf.asked_fields(upstream, names, values, reference=reference)

    def _leaf_of_form(
        self, visitor: Visitor, integration: str, obj: ObjectRef | None, reference: str | None
    ) -> Integration:
        """The leaf, if the visitor may fill its create form, or change the linked ``reference``.

        Raises NotFound when the object does not point there, and InvalidInput for a reference without an object.
        """
        if reference is None:
            visitor.principal.require_search(obj, integration)
            return self._registry.get(integration)
        visitor.principal.require(Action.UPDATE, obj, integration)
        if obj is None:
            raise InvalidInput("objectId", "The choices for a linked item need register, schema and objectId.")
        leaf = self._registry.get(integration)
        pointers.find(leaf, obj, reference)
        return leaf

    # --- writing -------------------------------------------------------------------------------------------------

    def link(self, visitor: Visitor, integration: str, obj: ObjectRef, text: str) -> Row:
        """Point from the object to an existing upstream item, given as address, id or reference.

        Raises InvalidInput("reference"), NotFound when the upstream does not show it, AlreadyLinked.
        """
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        source, item = self._look_up(visitor, leaf, obj, text)
        return self._linked(visitor, leaf, source, obj, item)

    def _linked(self, visitor: Visitor, leaf: Integration, source: ResolvedSource, obj: ObjectRef, item: Item) -> Row:
        link = pointers.add(leaf, obj, item.reference, by=visitor.actor, action=AuditAction.LINK, origin=item.origin)
        if link is None:
            raise AlreadyLinked(f"This {leaf.descriptor.noun} is already linked.")
        return Row(pointers.as_pointer(leaf, source.config, link), item)

    def link_all(self, visitor: Visitor, integration: str, obj: ObjectRef, texts: Sequence[str]) -> LinkedAll:
        """Link several items within one deadline. Stops at the first failure of the source or of our storage.

        Among several references, those already linked are skipped. Raises as ``link`` does before its first call.
        """
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        source = self._resolver.resolve(leaf)
        shown = self._first_pointers(leaf, source, obj)
        result, left = LinkedAll(), list(texts)
        try:
            with open_upstream(self._connector, leaf, source, visitor.caller, pointers=shown, fresh=True) as upstream:
                while left:
                    try:
                        refuse_longer("reference", left[0].strip(), REFERENCE_LENGTH)
                        item = resolve_pasted(leaf, upstream, left[0])
                        result.rows.append(self._linked(visitor, leaf, source, obj, item))
                    except ProviderUnavailable:
                        raise
                    except PanelError as exc:
                        if not isinstance(exc, AlreadyLinked) or len(texts) == 1:
                            result.refused = exc
                    left.pop(0)
                    result.seconds_left = upstream.seconds_left
        except ProviderUnavailable as exc:
            result.refused, result.left = exc, left
        except STORAGE_FAILURES as exc:
            if not result.rows:
                raise
            db.session.rollback()
            log.error("%s stopped linking: %s", visitor.caller.request_id, type(exc).__name__)
            result.refused, result.left = NotRecorded("The panel's own storage does not answer now."), left
            result.refused.__cause__ = exc
        if not result.rows and result.refused is None:
            result.refused = AlreadyLinked(f"These {leaf.descriptor.noun_plural} are already linked.")
        return result

    def _look_up(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, text: str) -> tuple[ResolvedSource, Item]:
        """The item of typed text, read past caches."""
        if not trimmed(text):
            raise InvalidInput("reference", "“reference” is missing: give an address, id or reference.")
        refuse_longer("reference", text.strip(), REFERENCE_LENGTH)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        source = self._resolver.resolve(leaf)
        shown = self._first_pointers(leaf, source, obj)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=shown, fresh=True) as upstream:
            return source, resolve_pasted(leaf, upstream, text)

    def create(
        self, visitor: Visitor, integration: str, obj: ObjectRef, values: Mapping[str, Any], *, key: str | None = None
    ) -> Row:
        """Create an item upstream and point to it. With an idempotency ``key`` it happens once.

        Raises InvalidInput, Rejected, Conflict, Forbidden, ProviderUnavailable, or Uncertain when no answer came.
        """
        visitor.principal.require(Action.CREATE, obj, integration)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        intent: CreateIntent | None = None
        if key:
            intent, is_repeated = idempotency.begin(visitor.principal.key, key, leaf.id, obj, values)
            if is_repeated:
                return self._created_before(visitor, leaf, obj, intent)
        opened = open_creates.begin(visitor.actor, leaf.id, obj, intent)
        return self._created(visitor, leaf, obj, values, opened)

    def _created(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, values: Mapping[str, Any], opened: int
    ) -> Row:
        try:
            source = self._resolver.resolve(leaf)
            item = self._create_upstream(visitor, leaf, source, obj, values)
        except Uncertain:
            # The open create and its key stay: a second try with the same key must not create a second item.
            _record_uncertain(
                AuditAction.CREATE_UNCERTAIN, visitor, leaf, obj, also=lambda: open_creates.mark_unanswered(opened)
            )
            raise
        except Exception as exc:
            if isinstance(exc, PanelError) and exc.in_doubt:
                _record_uncertain(AuditAction.CREATE_UNCERTAIN, visitor, leaf, obj)
            _abandon(visitor, lambda: open_creates.abandon(opened))
            raise
        try:
            return self._linked_new(visitor, leaf, obj, source, item, opened)
        except SQLAlchemyError as exc:
            _note_created(visitor, opened, item.reference, exc)
            sentence = f"The {leaf.descriptor.noun} was created: {item.reference}. It could not be linked here."
            raise NotRecorded(sentence) from exc

    def _linked_new(
        self, visitor: Visitor, leaf: Integration, obj: ObjectRef, source: ResolvedSource, item: Item, opened: int
    ) -> Row:
        open_creates.close(opened, item.reference)
        audit.record(AuditAction.CREATE, visitor.actor, subject=item.reference, obj=obj, integration=leaf.id)
        link = _added(visitor, leaf, obj, item)
        return Row(pointers.as_pointer(leaf, source.config, link), item)

    def _create_upstream(
        self, visitor: Visitor, leaf: Integration, source: ResolvedSource, obj: ObjectRef, values: Mapping[str, Any]
    ) -> Item:
        shown = self._first_pointers(leaf, source, obj)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=shown, fresh=True) as upstream:
            try:
                with creating(upstream, f"the {leaf.descriptor.noun}"):
                    return leaf.create(upstream, values)
            except PanelError:
                raise
            except Exception as exc:
                if not upstream.may_have_written:
                    raise
                log.exception("%s a create failed after it was sent", visitor.caller.request_id)
                raise Uncertain("We cannot tell whether it was created. Check before trying again.") from exc

    def _created_before(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, intent: CreateIntent) -> Row:
        """The answer of an earlier create, read from the upstream again."""
        reference = str(intent.reference)
        open_creates.close_of_intent(intent)
        link = pointers.add(leaf, obj, reference, by=visitor.actor, action=AuditAction.LINK)
        link = link or pointers.find(leaf, obj, reference)
        source = self._resolver.resolve(leaf)
        pointer = pointers.as_pointer(leaf, source.config, link)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=[pointer], fresh=True) as upstream:
            return Row(pointer, leaf.fetch(upstream, reference))

    def settle_created(self, visitor: Visitor, opened: OpenCreate, text: str) -> Row:
        """Link the item of an open create, given as address, id or reference. Raises as ``link``."""
        obj = ObjectRef(opened.register, opened.schema, opened.object_id)
        visitor.principal.require(Action.LINK, obj, opened.integration)
        leaf = self._registry.get(opened.integration)
        source, item = self._look_up(visitor, leaf, obj, text)
        open_creates.close(opened.id, item.reference)
        audit.record(
            AuditAction.CREATE_SETTLED, visitor.actor, subject=item.reference, obj=obj, integration=leaf.id,
            detail="linked",
        )  # fmt: skip
        link = _added(visitor, leaf, obj, item)
        return Row(pointers.as_pointer(leaf, source.config, link), item)

    def settle_absent(self, visitor: Visitor, opened: OpenCreate) -> None:
        """Remove an open create whose item does not exist, and free its key."""
        obj = ObjectRef(opened.register, opened.schema, opened.object_id)
        visitor.principal.require(Action.ADMIN)
        audit.record(
            AuditAction.CREATE_SETTLED, visitor.actor, obj=obj, integration=opened.integration, detail="not there"
        )
        open_creates.abandon(opened.id)

    def update(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, changes: Mapping[str, Any]
    ) -> Row:
        """Change a linked item upstream. Raises ChangedUpstream, Rejected, NotSupported, NotFound."""
        visitor.principal.require(Action.UPDATE, obj, integration)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        link, source = pointers.find(leaf, obj, reference), self._resolver.resolve(leaf)
        pointer = pointers.as_pointer(leaf, source.config, link)
        named = ", ".join(
            [*(field.name for field in leaf.descriptor.update if field.name in changes), *_asked_in(changes)]
        )
        opened = open_updates.begin(visitor.actor, leaf.id, obj, reference, named)
        try:
            with open_upstream(
                self._connector, leaf, source, visitor.caller, pointers=[pointer], fresh=True
            ) as upstream:
                item = leaf.update(upstream, reference, changes)
        except PanelError as exc:
            _record_not_updated(visitor, leaf, obj, reference, named, opened, in_doubt=exc.in_doubt)
            raise
        _record_updated(visitor, leaf, obj, reference, named, opened)
        return Row(pointer, item)

    def settle_update(self, visitor: Visitor, opened: OpenUpdate, *, is_made: bool) -> None:
        """Record a change that the audit trail lacks, as an administrator found it in the upstream."""
        visitor.principal.require(Action.ADMIN)
        found = "changed" if is_made else "not changed"
        audit.record(
            AuditAction.UPDATE_SETTLED, visitor.actor, subject=opened.reference, integration=opened.integration,
            obj=ObjectRef(opened.register, opened.schema, opened.object_id),
            detail=f"{found}: {opened.fields}; {opened.who}, {opened.started_at:%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
        open_updates.close(opened.id)
        db.session.commit()

    def unlink(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> None:
        """Remove the pointer. No request goes upstream and nothing changes there. Raises NotFound."""
        visitor.principal.require(Action.UNLINK, obj, integration)
        leaf = self._registry.get(integration)
        if not pointers.remove(pointers.find(leaf, obj, reference)):
            raise pointers.not_linked(leaf)
        audit.record(AuditAction.UNLINK, visitor.actor, subject=reference, obj=obj, integration=leaf.id)
        db.session.commit()

    def _first_pointers(self, leaf: Integration, source: ResolvedSource, obj: ObjectRef) -> list[Pointer]:
        """The newest pointers of an object, for the body of a failure."""
        shown, _ = pointers.read_page(leaf, source.config, obj, DEFAULT_LIMIT, 1)
        return shown


def _added(visitor: Visitor, leaf: Integration, obj: ObjectRef, item: Item) -> Link:
    """The link to an item; another request may have made it meanwhile."""
    link = pointers.add(leaf, obj, item.reference, by=visitor.actor, origin=item.origin)
    return link or pointers.find(leaf, obj, item.reference)


def _asked_in(changes: Mapping[str, Any]) -> list[str]:
    """The names of the fields that the panel's form does not have, for the audit trail."""
    fields = changes.get("fields")
    return [str(name)[:100] for name in list(fields)[:20]] if isinstance(fields, Mapping) else []


def _beside_newest(visitor: Visitor, leaf: Integration, obj: ObjectRef) -> Mapping[str, str]:
    """The values of a form for an item beside the one that was linked last, for those who may see that one."""
    if not visitor.principal.may(Action.VIEW):
        return {}
    newest, _ = pointers.read_page(leaf, None, obj, 1, 1)
    return leaf.values_beside(newest[0].reference) if newest else {}


def _record_uncertain(
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


def _record_updated(
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
        sentence = f"The change was made in {leaf.descriptor.upstream}; it could not be recorded here."
        raise NotRecorded(sentence) from exc


def _record_not_updated(
    visitor: Visitor, leaf: Integration, obj: ObjectRef, reference: str, named: str, opened: int, *, in_doubt: bool
) -> None:
    """Remove the record of an open update that was refused; one that may have been made gets its line instead."""

    def close() -> None:
        open_updates.close(opened)

    if in_doubt:
        action = AuditAction.UPDATE_UNCERTAIN
        _record_uncertain(action, visitor, leaf, obj, subject=reference, detail=named, also=close)
    else:
        _abandon(visitor, close)


def _abandon(visitor: Visitor, close: Callable[[], object]) -> None:
    """Remove the record of a failed write. A failure of our storage leaves it and does not hide that failure."""
    try:
        db.session.rollback()
        close()
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        log.error("the record of the open write of %s stays: %s", visitor.caller.request_id, type(exc).__name__)


def _note_created(visitor: Visitor, opened: int, reference: str, cause: Exception) -> None:
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


def _candidates(leaf: Integration, upstream: Upstream, text: str, limit: int) -> Sequence[Item]:
    words = trimmed(text)
    if words and leaf.looks_like_reference(upstream.source, words):
        try:
            return [resolve_pasted(leaf, upstream, text)]
        except NotFound:
            # What looks like a reference may still be words ("A.B" in a title).
            if "://" in words:
                return []
    return leaf.search(upstream, words, limit=limit)


def _matches(item: Item, words: Sequence[str]) -> bool:
    facts = " ".join(str(value) for value in (*item.facts.values(), item.due) if isinstance(value, str | date))
    text = f"{item.title} {item.reference} {facts}".casefold()
    return all(word in text for word in words)
