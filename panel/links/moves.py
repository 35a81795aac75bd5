"""Points the link of an item that moved to its new place, once that is proved to be the same item."""

from __future__ import annotations

from panel.accounts.principal import Action
from panel.connector import Connector, Upstream
from panel.core.domain import Item, ObjectRef, Pointer, Row, State
from panel.core.errors import Conflict, InvalidInput, NotFound, NotSupported
from panel.core.messages import _
from panel.core.text import trimmed
from panel.core.text_limits import REFERENCE_LENGTH, refuse_longer
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.sources.instances import Instances
from panel.sources.resolver import ResolvedSource, SourceResolver


class Moves:
    """Points links to the new places of their items. Checks the same rights as ``Links``."""

    def __init__(
        self, registry: Registry, resolver: SourceResolver, connector: Connector, instances: Instances
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector
        self._instances = instances

    def follow(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, text: str) -> Row:
        """Point the link of a moved item to its new place, given as address, id or reference.

        Raises NotFound, InvalidInput when the item did not move there, Conflict when it did not move at all,
        AlreadyLinked when the object has a link to the new place, NotSupported for a leaf whose items never move.
        """
        leaf, source, item = self._proved(visitor, integration, obj, reference, text)
        link = pointers.point_to(leaf, obj, reference, item, by=visitor.actor)
        return Row(pointers.as_pointer(leaf, source.config, link), item)

    def rehearse(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, text: str) -> Item:
        """What ``follow`` would point to, without a change. Raises what ``follow`` would raise."""
        leaf, _, item = self._proved(visitor, integration, obj, reference, text)
        if pointers.linked_among(leaf, obj, [item.reference]):
            raise pointers.linked_at_new_place(leaf)
        return item

    def _proved(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, text: str
    ) -> tuple[Integration, ResolvedSource, Item]:
        """The item that ``text`` names, read past caches, if it is what the link pointed to."""
        visitor.principal.require(Action.LINK, obj, integration)
        leaf = self._registry.get(integration)
        if not leaf.can_move:
            raise NotSupported(_("A {noun} never moves to another reference.", noun=leaf.descriptor.noun))
        if not trimmed(text):
            raise InvalidInput("reference", _("“reference” is missing: give one of “movedTo”."))
        refuse_longer("reference", text.strip(), REFERENCE_LENGTH)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        link, source = pointers.find(leaf, obj, reference), self._resolver.resolve(leaf)
        pointer = pointers.as_pointer(leaf, source.config, link)
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=[pointer], fresh=True) as upstream:
            item = resolve_pasted(leaf, upstream, text)
            _require_moved(leaf, upstream, pointer, item)
        return leaf, source, item


def _require_moved(leaf: Integration, upstream: Upstream, pointer: Pointer, item: Item) -> None:
    """Raise Conflict or InvalidInput unless ``item`` is what the pointer pointed to, under another reference."""
    redirects = False
    try:
        redirects = leaf.fetch(upstream, pointer.reference).state is State.MOVED
        has_moved = redirects
    except NotFound:
        has_moved = True
    if not has_moved:
        raise Conflict(_("This {noun} has not moved: it is still there.", noun=leaf.descriptor.noun))
    has_same_origin = item.origin is not None and item.origin == pointer.origin
    if not has_same_origin and not (redirects and _leads_to(leaf, upstream, pointer, item)):
        raise InvalidInput("reference", _("The linked {noun} did not move there.", noun=leaf.descriptor.noun))


def _leads_to(leaf: Integration, upstream: Upstream, pointer: Pointer, item: Item) -> bool:
    try:
        return leaf.resolve(upstream, pointer.reference).reference == item.reference
    except NotFound:
        return False
