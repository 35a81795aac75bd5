"""Finds items for the picker of an object: what a text names, else what a search for its words finds.

Each leaf is asked by itself, within the rights of the visitor for it. A failure of one is in its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from panel.accounts.principal import Action
from panel.connector import Connector, Upstream, is_same_host
from panel.core.domain import Item, ObjectRef
from panel.core.errors import InvalidInput, NotFound, PanelError
from panel.core.text import trimmed
from panel.integrations.contract import Hits, Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.naming import Named, named_in
from panel.links.pasted import resolve_pasted
from panel.links.reading import Found
from panel.links.upstream import conversation, open_upstream
from panel.links.visitor import Visitor
from panel.sources.resolver import ResolvedSource, SourceResolver
from panel.sources.service import Sources
from panel.storage.engine import db

MOST_FOUND = 100
"""How many results of one leaf can be shown."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and how much of it is wanted."""

    text: str
    limit: int
    titles_only: bool = False


@dataclass(frozen=True, slots=True)
class LeafFound:
    """What one leaf found."""

    leaf: Integration
    rows: Sequence[Found] = ()
    total: int = 0
    """How many there are; at least so many if ``more``."""
    more: bool = False
    exact: bool = False
    """Whether the rows are the items that the text names."""
    missing: Sequence[str] = ()
    """What the text names and the upstream does not show."""
    refused: PanelError | None = None


Answer = tuple[Hits, bool, Sequence[str]]
"""Hits, whether they are exactly what the text names, and what is missing of it."""


class Finder:
    """Every method checks the rights of its visitor first: NotFound outside of their limits, Forbidden."""

    def __init__(self, registry: Registry, resolver: SourceResolver, sources: Sources, connector: Connector) -> None:
        self._registry = registry
        self._resolver = resolver
        self._sources = sources
        self._connector = connector

    def named(self, visitor: Visitor, text: str) -> Named:
        """What a text names in the leaves that the visitor may use."""
        known = [(leaf, self._resolver.resolve(leaf).config) for leaf in self._registry.all()]
        return named_in(text, known, lambda leaf: visitor.principal.sees(leaf.id))

    def knows_host(self, address: str) -> bool:
        """Whether any source is on the host of an address, also one that the visitor may not use or no leaf has."""
        return any(_is_on(address, source.location) for source in self._sources.all())

    def linked_among(self, visitor: Visitor, integration: str, obj: ObjectRef, references: Sequence[str]) -> set[str]:
        """Those of ``references`` that the object has a link to."""
        visitor.principal.require(Action.VIEW, obj, integration)
        return pointers.linked_among(self._registry.get(integration), obj, references)

    def find(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, query: Query, named: Named) -> LeafFound:
        """What one leaf finds. Raises InvalidInput and ProviderUnavailable."""
        visitor.principal.require_search(obj, leaf.id)
        if _is_of_others(leaf, query, named):
            return LeafFound(leaf)
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            answer = _ask(leaf, upstream, query, named)
        return _found(leaf, obj, answer)

    def find_in_all(
        self, visitor: Visitor, leaves: Sequence[Integration], obj: ObjectRef, query: Query, named: Named
    ) -> list[LeafFound]:
        """What each of ``leaves`` finds. They are asked side by side, so that together they take one deadline."""
        for leaf in leaves:
            visitor.principal.require_search(obj, leaf.id)
        asked = [leaf for leaf in leaves if not _is_of_others(leaf, query, named)]
        sources = [self._resolver.resolve(leaf) for leaf in asked]
        # No database connection is held during the calls, and threads have none.
        db.session.commit()
        with ThreadPoolExecutor(max(1, len(asked)), thread_name_prefix="find") as pool:
            answers = pool.map(lambda leaf, source: self._answer(visitor, leaf, source, query, named), asked, sources)
            by_leaf = {leaf.id: answer for leaf, answer in zip(asked, answers, strict=True)}
        return [_found_or_refused(leaf, obj, by_leaf.get(leaf.id)) for leaf in leaves]

    def _answer(
        self, visitor: Visitor, leaf: Integration, source: ResolvedSource, query: Query, named: Named
    ) -> Answer | PanelError:
        try:
            with conversation(self._connector, leaf, source.ready, visitor.caller) as upstream:
                return _ask(leaf, upstream, query, named)
        except PanelError as exc:
            return exc


def _is_of_others(leaf: Integration, query: Query, named: Named) -> bool:
    """Whether the text has addresses, and none of them is the leaf's."""
    return named.has_addresses and not named.of(leaf)


def _ask(leaf: Integration, upstream: Upstream, query: Query, named: Named) -> Answer:
    texts = named.of(leaf)
    if texts:
        found = upstream.each(lambda text: _looked_up(leaf, upstream, text, alone=len(texts) == 1), texts)
        items = {item.reference: item for item in found if item is not None}
        missing = [text for text, item in zip(texts, found, strict=True) if item is None]
        if items or named.has_addresses:
            return Hits(list(items.values()), len(items)), True, missing
    # What looks like a reference may still be words ("A.B" in a title).
    limit = max(1, min(query.limit, MOST_FOUND))
    return leaf.find(upstream, trimmed(query.text), limit=limit, titles_only=query.titles_only), False, ()


def _looked_up(leaf: Integration, upstream: Upstream, text: str, *, alone: bool) -> Item | None:
    """The item, or None where the upstream shows none. Why a text is not read is only raised for a single one."""
    try:
        return resolve_pasted(leaf, upstream, text)
    except NotFound:
        return None
    except InvalidInput:
        if alone:
            raise
        return None


def _found_or_refused(leaf: Integration, obj: ObjectRef, answer: Answer | PanelError | None) -> LeafFound:
    if answer is None:
        return LeafFound(leaf)
    return LeafFound(leaf, refused=answer) if isinstance(answer, PanelError) else _found(leaf, obj, answer)


def _found(leaf: Integration, obj: ObjectRef, answer: Answer) -> LeafFound:
    hits, exact, missing = answer
    linked = pointers.linked_among(leaf, obj, [item.reference for item in hits.items])
    rows = [Found(item, item.reference in linked) for item in hits.items]
    return LeafFound(leaf, rows, hits.total, hits.more, exact, missing)


def _is_on(address: str, location: str) -> bool:
    try:
        return is_same_host(address, location)
    except ValueError:
        return False
