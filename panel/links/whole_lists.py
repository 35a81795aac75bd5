"""The linked items of an object as one list: sorted, filtered and counted over all of them, and shown page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from panel.accounts.principal import Action
from panel.connector import Upstream
from panel.core.domain import Item, Listing, ObjectRef, Pointer, Problem, Row
from panel.core.errors import ProviderUnavailable
from panel.integrations.contract import Integration
from panel.links import pointers
from panel.links.arrangement import Arranged, ListQuery, arrange
from panel.links.locate import read_items
from panel.links.reading import DEFAULT_LIMIT, Reading
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.sources.resolver import ResolvedSource

MOST_ARRANGED = 1000
"""How many pointers of one object, the newest, are sorted, filtered and counted."""
MOST_AT_ONCE = 100
"""So many items are read like those of one page: leaves ask for them in one or two calls."""
WHOLE_SHARE = 0.5
"""The share of the deadline for reading more items than that. The rest is for the items of one page."""


@dataclass(frozen=True, slots=True)
class WholeList:
    """One page of an object's list, and what is true of the whole list."""

    listing: Listing
    """The page. ``total`` counts all pointers."""
    arranged: Arranged | None = None
    """None when only one page in stored order was read: the pointers are too many, or their items took too long."""
    references: frozenset[str] = field(default=frozenset(), repr=False)
    """The references of all pointers that were read."""

    @property
    def is_cut(self) -> bool:
        """Whether there are more pointers than were sorted, filtered and counted."""
        return self.arranged is not None and self.listing.total > self.arranged.tally.counted

    @property
    def matching(self) -> int:
        return self.listing.total if self.arranged is None else self.arranged.matching


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question for a list, and the pointers that it is about."""

    visitor: Visitor
    leaf: Integration
    source: ResolvedSource
    query: ListQuery
    shown: Sequence[Pointer]
    total: int
    limit: int

    def page(self, number: int) -> Sequence[Pointer]:
        """A page of the pointers in stored order."""
        start = (number - 1) * self.limit
        return self.shown[start : start + self.limit]

    @property
    def last_page(self) -> int:
        return max(1, min(self.query.page, -(-len(self.shown) // self.limit)))


class WholeLists(Reading):
    """Lists over all pointers of an object. Every method checks the rights of its visitor first."""

    def whole_list(
        self,
        visitor: Visitor,
        integration: str,
        obj: ObjectRef,
        query: ListQuery,
        today: date,
        *,
        limit: int = DEFAULT_LIMIT,
        problem: Problem | None = None,
        deadline_s: float | None = None,
        fresh: bool = False,
    ) -> WholeList:
        """The page that ``query`` asks for, read and degraded as ``listing`` is. ``today`` decides what is overdue.

        More than ``MOST_ARRANGED`` pointers are not read for a page in stored order, which then has no counts.
        """
        visitor.principal.require(Action.VIEW, obj, integration)
        leaf = self._registry.get(integration)
        source = self._resolver.resolve(leaf)
        shown, total = pointers.read_page(leaf, source.config, obj, MOST_ARRANGED, 1)
        if total > MOST_ARRANGED and query.is_stored_order:
            page = self.listing(visitor, integration, obj, limit=limit, page=query.page, problem=problem, fresh=fresh)
            return WholeList(page)
        asked = _Asked(visitor, leaf, source, query, shown, total, limit)
        try:
            if problem is not None:
                raise ProviderUnavailable(problem)
            return self._read(asked, today, deadline_s, fresh)
        except ProviderUnavailable as exc:
            rows = tuple(Row(pointer, None) for pointer in asked.page(asked.last_page))
            return WholeList(Listing(rows, total, asked.last_page, limit, exc.problem), None, _references(shown))

    def _read(self, asked: _Asked, today: date, deadline_s: float | None, fresh: bool) -> WholeList:
        caller, leaf = asked.visitor.caller, asked.leaf
        with open_upstream(self._connector, leaf, asked.source, caller, deadline_s=deadline_s, fresh=fresh) as upstream:
            if not asked.shown:
                leaf.check_list(upstream)
            items = _all_items(upstream, asked)
            if items is None:
                return _one_page(upstream, asked)
        rows = [Row(pointer, items[pointer.reference]) for pointer in asked.shown]
        arranged = arrange(rows, asked.query, asked.limit, today, leaf.descriptor.person)
        listing = Listing(arranged.rows, asked.total, arranged.page, asked.limit)
        return WholeList(listing, arranged, _references(asked.shown))


def _all_items(upstream: Upstream, asked: _Asked) -> Mapping[str, Item] | None:
    """The items of all pointers. None when they are many, and reading them all fails or takes too long."""
    if len(asked.shown) <= max(asked.limit, MOST_AT_ONCE):
        return read_items(asked.leaf, upstream, asked.shown)
    return upstream.optional("whole list", lambda part: read_items(asked.leaf, part, asked.shown), share=WHOLE_SHARE)


def _one_page(upstream: Upstream, asked: _Asked) -> WholeList:
    """The page in stored order, without filters and counts."""
    shown = asked.page(asked.last_page)
    items = read_items(asked.leaf, upstream, shown)
    rows = tuple(Row(pointer, items[pointer.reference]) for pointer in shown)
    return WholeList(Listing(rows, asked.total, asked.last_page, asked.limit), None, _references(asked.shown))


def _references(shown: Sequence[Pointer]) -> frozenset[str]:
    return frozenset(pointer.reference for pointer in shown)
