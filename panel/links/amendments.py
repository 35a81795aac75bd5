"""Changes of stored pointers: another item in place of one that is gone or wrong, a note, and Undo."""

from __future__ import annotations

from panel.accounts.principal import Action
from panel.connector import Connector
from panel.core.domain import ObjectRef, Pointer, Row
from panel.core.errors import AlreadyLinked, InvalidInput
from panel.core.messages import _
from panel.core.text import one_line, trimmed
from panel.core.text_limits import NOTE_LENGTH, REFERENCE_LENGTH, refuse_longer
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.logs.audit import AuditAction
from panel.sources.instances import Instances
from panel.sources.resolver import SourceResolver


class Amendments:
    """Changes of pointers. Every method needs the right ``link`` and is one transaction with its audit line."""

    def __init__(
        self, registry: Registry, resolver: SourceResolver, connector: Connector, instances: Instances
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector
        self._instances = instances

    def repoint(
        self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, text: str
    ) -> tuple[Pointer, Row]:
        """Point a link to another item, given as address, id or reference. Who linked it, when and the note stay.

        Returns the pointer as it was, and the new row. Raises as ``Links.link``, and NotFound without such a link.
        """
        visitor.principal.require(Action.LINK, obj, integration)
        if not trimmed(text):
            raise InvalidInput("reference", _("“reference” is missing: give an address, id or reference."))
        refuse_longer("reference", text.strip(), REFERENCE_LENGTH)
        leaf = self._registry.get(integration)
        self._instances.require_known(leaf.id, leaf.descriptor.upstream)
        source = self._resolver.resolve(leaf)
        before = pointers.as_pointer(leaf, source.config, pointers.find(leaf, obj, reference))
        with open_upstream(self._connector, leaf, source, visitor.caller, pointers=[before], fresh=True) as upstream:
            item = resolve_pasted(leaf, upstream, text)
        if item.reference == reference:
            raise AlreadyLinked(_("This {noun} is already linked.", noun=leaf.descriptor.noun))
        link = pointers.repoint(leaf, obj, reference, item.reference, item.origin, by=visitor.actor)
        return before, Row(pointers.as_pointer(leaf, source.config, link), item)

    def point_back(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, before: Pointer) -> None:
        """Undo ``repoint``. No request goes upstream: the pointer is stored as it was. Raises as ``repoint``."""
        leaf = self._leaf(visitor, integration, obj)
        pointers.repoint(leaf, obj, reference, before.reference, before.origin, by=visitor.actor)

    def relink(self, visitor: Visitor, integration: str, obj: ObjectRef, before: Pointer) -> None:
        """Undo an unlink: a new link with the note of the old one. Who linked it and when are those of this act.

        No request goes upstream, so that it also works for an item that is gone. A link that exists again stays.
        """
        leaf = self._leaf(visitor, integration, obj)
        pointers.add(
            leaf, obj, before.reference, by=visitor.actor, action=AuditAction.LINK, origin=before.origin,
            note=before.note, detail="undo",
        )  # fmt: skip

    def write_note(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str, text: str) -> None:
        """Store the note of a link; an empty text removes it. Raises NotFound, InvalidInput("note")."""
        leaf, note = self._leaf(visitor, integration, obj), one_line(text)
        refuse_longer("note", note, NOTE_LENGTH)
        pointers.write_note(leaf, obj, reference, note, by=visitor.actor)

    def _leaf(self, visitor: Visitor, integration: str, obj: ObjectRef) -> Integration:
        visitor.principal.require(Action.LINK, obj, integration)
        return self._registry.get(integration)
