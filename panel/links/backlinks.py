"""Finds the objects that point to an item, which may be given in any spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panel.accounts.principal import Action
from panel.connector import Connector
from panel.core.domain import LinkedObjects
from panel.core.errors import NotFound
from panel.core.text import trimmed
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.sources.resolver import SourceResolver


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of the objects is asked for."""

    number: int
    limit: int


class Backlinks:
    """Every method checks the rights of its visitor first."""

    def __init__(self, registry: Registry, resolver: SourceResolver, connector: Connector) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector

    def find(self, visitor: Visitor, integration: str, text: str, page: Page) -> LinkedObjects:
        """The objects that point to what ``text`` names, as far as the visitor may see them.

        The upstream is asked only for a text whose reference is not known without it. An item that the upstream does
        not show has no objects, so that the answer does not tell whether the item exists. Raises NotFound for an
        integration outside the limits of the visitor, InvalidInput("reference", …), WrongHost, ProviderUnavailable.
        """
        visitor.principal.require(Action.VIEW, None, integration)
        leaf = self._registry.get(integration)
        config = self._resolver.shown_config(leaf)
        named = leaf.references_named(config, trimmed(text)) if config is not None else ()
        found = self._first(visitor, leaf, [text.strip(), *named], page)
        if found.total or named:
            return found
        return self._first(visitor, leaf, self._told_by_upstream(visitor, leaf, text), page)

    def _first(self, visitor: Visitor, leaf: Integration, references: Sequence[str], page: Page) -> LinkedObjects:
        """The objects of the first reference that has any."""
        config, limits = self._resolver.shown_config(leaf), visitor.principal.limits
        for reference in dict.fromkeys(references):
            found = pointers.objects_of(leaf, config, reference, limits, page.limit, page.number)
            if found.total:
                return found
        return LinkedObjects((), 0)

    def _told_by_upstream(self, visitor: Visitor, leaf: Integration, text: str) -> Sequence[str]:
        source = self._resolver.resolve(leaf)
        try:
            with open_upstream(self._connector, leaf, source, visitor.caller) as upstream:
                return [resolve_pasted(leaf, upstream, text).reference]
        except NotFound:
            return ()
