"""Dry runs of link, create, update and unlink: what a write would meet, without writing anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.accounts.principal import Action
from panel.connector import Connector
from panel.core.domain import Item, ObjectRef, Pointer, Row
from panel.core.errors import AlreadyLinked, InvalidInput, NotSupported
from panel.core.messages import _, any_of
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.pasted import resolve_pasted
from panel.links.reading import DEFAULT_LIMIT
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.sources.instances import Instances
from panel.sources.resolver import SourceResolver


class DryRun:
    """Each method has the name of the write that it tries, and checks the same rights."""

    def __init__(
        self, registry: Registry, resolver: SourceResolver, connector: Connector, instances: Instances
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector
        self._instances = instances

    def link(self, visitor: Visitor, integration: str, obj: ObjectRef, text: str) -> Item:
        """What ``link`` would point to. Raises what ``link`` would raise."""
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        source = self._resolver.resolve(leaf)
        shown, _total = pointers.read_page(leaf, source.config, obj, DEFAULT_LIMIT, 1)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=shown, fresh=True) as upstream:
            item = resolve_pasted(leaf, upstream, text)
        if pointers.linked_among(leaf, obj, [item.reference]):
            raise AlreadyLinked(_("This {noun} is already linked.", noun=leaf.descriptor.noun))
        return item

    def create(self, visitor: Visitor, integration: str, obj: ObjectRef, values: Mapping[str, Any]) -> None:
        """Check the required fields and that the source can be read. Only the upstream can check the rest."""
        visitor.principal.require(Action.CREATE, obj, integration)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        for field in leaf.descriptor.create:
            value = values.get(field.name)
            if field.required and (value is None or not str(value).strip()):
                raise InvalidInput(field.name, _("“{name}” is missing.", name=field.name))
        with open_upstream(self._connector, leaf, self._resolver.resolve(leaf), visitor.caller) as upstream:
            leaf.check(upstream)

    def update(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, changes: Mapping[str, Any]
    ) -> Row:
        """The item as ``update`` would find it. Raises NotSupported, InvalidInput, NotFound."""
        visitor.principal.require(Action.UPDATE, obj, integration)
        leaf = self._registry.get(integration)
        known = [field.name for field in leaf.descriptor.update]
        if not known:
            raise NotSupported(_("{label} cannot be changed from here.", label=leaf.descriptor.label))
        if not any(name in changes for name in (*known, "fields")):
            raise InvalidInput("changes", _("Nothing to change: give {names}.", names=any_of(known)))
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        link, source = pointers.find(leaf, obj, reference), self._resolver.resolve(leaf)
        pointer = pointers.as_pointer(leaf, source.config, link)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=[pointer], fresh=True) as upstream:
            return Row(pointer, leaf.fetch(upstream, reference))

    def unlink(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Pointer:
        """The pointer that ``unlink`` would remove. Raises NotFound."""
        visitor.principal.require(Action.UNLINK, obj, integration)
        leaf = self._registry.get(integration)
        link = pointers.find(leaf, obj, reference)
        return pointers.as_pointer(leaf, self._resolver.shown_config(leaf), link)
