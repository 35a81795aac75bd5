"""The service that all ways in share: items, search, link, create, update and unlink for an object.

Reads degrade: a listing says why the upstream cannot be read and still holds the pointers. Writes fail loudly.
Nothing of the upstream is stored; a link is a pointer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from panel.accounts.principal import Action
from panel.core.domain import Item, ObjectRef, Pointer, Row
from panel.core.errors import (
    AlreadyLinked,
    InvalidInput,
    NotRecorded,
    PanelError,
    ProviderUnavailable,
    Uncertain,
)
from panel.core.messages import _
from panel.core.text import trimmed
from panel.core.text_limits import REFERENCE_LENGTH, refuse_longer
from panel.integrations.contract import Integration, creating
from panel.links import idempotency, open_creates, open_updates, pointers
from panel.links.pasted import resolve_pasted
from panel.links.upstream import open_upstream
from panel.links.visitor import Visitor
from panel.links.whole_lists import WholeLists
from panel.links.write_records import abandon, note_created, record_not_updated, record_uncertain, record_updated
from panel.logs import audit
from panel.logs.audit import AuditAction
from panel.sources.resolver import ResolvedSource
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.models import CreateIntent, Link, OpenCreate, OpenUpdate

log = logging.getLogger(__name__)


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


class Links(WholeLists):
    """Reads and writes. Every method checks the rights of its visitor first.

    Writes fail loudly. A write that was sent has a record until its end is known.
    """

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
            raise AlreadyLinked(_("This {noun} is already linked.", noun=leaf.descriptor.noun))
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
            result.refused, result.left = NotRecorded(_("The panel's own storage does not answer now.")), left
            result.refused.__cause__ = exc
        if not result.rows and result.refused is None:
            result.refused = AlreadyLinked(_("These {nouns} are already linked.", nouns=leaf.descriptor.noun_plural))
        return result

    def _look_up(self, visitor: Visitor, leaf: Integration, obj: ObjectRef, text: str) -> tuple[ResolvedSource, Item]:
        """The item of typed text, read past caches."""
        if not trimmed(text):
            raise InvalidInput("reference", _("“reference” is missing: give an address, id or reference."))
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
            record_uncertain(
                AuditAction.CREATE_UNCERTAIN, visitor, leaf, obj, also=lambda: open_creates.mark_unanswered(opened)
            )
            raise
        except Exception as exc:
            if isinstance(exc, PanelError) and exc.in_doubt:
                record_uncertain(AuditAction.CREATE_UNCERTAIN, visitor, leaf, obj)
            abandon(visitor, lambda: open_creates.abandon(opened))
            raise
        try:
            return self._linked_new(visitor, leaf, obj, source, item, opened)
        except SQLAlchemyError as exc:
            note_created(visitor, opened, item.reference, exc)
            sentence = _(
                "The {noun} was created: {reference}. It could not be linked here.",
                noun=leaf.descriptor.noun,
                reference=item.reference,
            )
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
                with creating(upstream, _("the {noun}", noun=leaf.descriptor.noun)):
                    return leaf.create(upstream, values)
            except PanelError:
                raise
            except Exception as exc:
                if not upstream.may_have_written:
                    raise
                log.exception("%s a create failed after it was sent", visitor.caller.request_id)
                raise Uncertain(_("We cannot tell whether it was created. Check before trying again.")) from exc

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
            record_not_updated(visitor, leaf, obj, reference, named, opened, in_doubt=exc.in_doubt)
            raise
        record_updated(visitor, leaf, obj, reference, named, opened)
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

    def unlink(self, visitor: Visitor, integration: str, obj: ObjectRef, reference: str) -> Pointer:
        """Remove the pointer and return it. No request goes upstream and nothing changes there. Raises NotFound."""
        visitor.principal.require(Action.UNLINK, obj, integration)
        leaf = self._registry.get(integration)
        link = pointers.find(leaf, obj, reference)
        removed = pointers.as_pointer(leaf, None, link)
        if not pointers.remove(link):
            raise pointers.not_linked(leaf)
        audit.record(AuditAction.UNLINK, visitor.actor, subject=reference, obj=obj, integration=leaf.id)
        db.session.commit()
        return removed


def _added(visitor: Visitor, leaf: Integration, obj: ObjectRef, item: Item) -> Link:
    """The link to an item; another request may have made it meanwhile."""
    link = pointers.add(leaf, obj, item.reference, by=visitor.actor, origin=item.origin)
    return link or pointers.find(leaf, obj, item.reference)


def _asked_in(changes: Mapping[str, Any]) -> list[str]:
    """The names of the fields that the panel's form does not have, for the audit trail."""
    fields = changes.get("fields")
    return [str(name)[:100] for name in list(fields)[:20]] if isinstance(fields, Mapping) else []
