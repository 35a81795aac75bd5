"""Reads for an object: its linked items, single items, search, choices of forms, health.

Reads degrade: a listing says why the upstream cannot be read and still holds the pointers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panel.accounts.principal import Action
from panel.connector import Connector, Upstream
from panel.core.domain import Choices, Health, Item, LinkedObjects, Listing, ObjectRef, Pointer, Problem, Row
from panel.core.errors import (
    InvalidInput,
    NotFound,
    ProviderUnavailable,
)
from panel.core.messages import _
from panel.core.text import trimmed
from panel.integrations.contract import AskedField, Branch, FurtherFields, Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.arrangement import matches, words_of
from panel.links.locate import located, read_items
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.sources.checks import (
    SourceChecks,
    health_of_identity,
    health_of_other_instance,
    health_of_problem,
    instance_facts,
)
from panel.sources.instances import Instances
from panel.sources.resolver import ResolvedSource, SourceResolver

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
FINGERPRINT_S = 60
"""Health polls read the fingerprint of an instance at most once in this time."""
MAX_SEARCHED = 1000
"""How many pointers of one object a ``_search`` looks through."""
MOST_OBJECTS = 200
"""How many objects of one item an answer names."""


@dataclass(frozen=True, slots=True)
class Found:
    """One picker row. ``linked`` is None when no object was named."""

    item: Item
    linked: bool | None


class Reading:
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
        words = words_of(search)
        hits = [row for p in shown if matches(row := Row(p, items[p.reference]), words)]
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
            return read_items(leaf, upstream, shown), upstream.holds_until

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

    def pointer(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Pointer:
        """One stored pointer. No request goes upstream. Raises NotFound when this object does not point there."""
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        return pointers.as_pointer(leaf, self._resolver.shown_config(leaf), pointers.find(leaf, obj, reference))

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

    def objects_of(
        self, visitor: Visitor, integration: str, reference: str, *, limit: int = MOST_OBJECTS
    ) -> LinkedObjects:
        """The objects that point to an item, as far as the visitor may see them. No request goes upstream.

        An embed token sees its own object only. Raises NotFound for an integration outside the visitor's limits.
        """
        principal = visitor.principal
        principal.require(Action.VIEW, None, integration)
        leaf = self._registry.get(integration)
        source = self._resolver.shown_config(leaf)
        return pointers.objects_of(leaf, source, reference, principal.limits, min(limit, MOST_OBJECTS))

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

    def branch(self, visitor: Visitor, integration: str, field: str, within: str, *, obj: ObjectRef) -> Branch:
        """The choices directly below one of them, for a field whose choices are nested."""
        leaf = self._leaf_of_form(visitor, integration, obj, None)
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            return leaf.branch(upstream, field, within)

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

    def existing(
        self, visitor: Visitor, integration: str, values: Mapping[str, str], *, obj: ObjectRef
    ) -> Found | None:
        """The item that stands already where a create with these values would make one."""
        leaf = self._leaf_of_form(visitor, integration, obj, None)
        if type(leaf).find_existing is Integration.find_existing:
            return None
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            item = leaf.find_existing(upstream, values)
        return None if item is None else Found(item, bool(pointers.linked_among(leaf, obj, [item.reference])))

    def has_further_fields(self, integration: str) -> bool:
        """Whether the create form of an integration may need fields that its descriptor does not have."""
        return type(self._registry.get(integration)).further_fields is not Integration.further_fields

    def further_fields(
        self, visitor: Visitor, integration: str, values: Mapping[str, str], *, obj: ObjectRef
    ) -> FurtherFields | None:
        """What the upstream requires of a new item with these values; None when it does not say now."""
        leaf = self._leaf_of_form(visitor, integration, obj, None)
        if not self.has_further_fields(integration):
            return FurtherFields()
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            return leaf.further_fields(upstream, values)

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
            raise InvalidInput("objectId", _("The choices for a linked item need register, schema and objectId."))
        leaf = self._registry.get(integration)
        pointers.find(leaf, obj, reference)
        return leaf

    def _first_pointers(self, leaf: Integration, source: ResolvedSource, obj: ObjectRef) -> list[Pointer]:
        """The newest pointers of an object, for the body of a failure."""
        shown, _ = pointers.read_page(leaf, source.config, obj, DEFAULT_LIMIT, 1)
        return shown


def _beside_newest(visitor: Visitor, leaf: Integration, obj: ObjectRef) -> Mapping[str, str]:
    """The values of a form for an item beside the one that was linked last, for those who may see that one."""
    if not visitor.principal.may(Action.VIEW):
        return {}
    newest, _ = pointers.read_page(leaf, None, obj, 1, 1)
    return leaf.values_beside(newest[0].reference) if newest else {}


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
