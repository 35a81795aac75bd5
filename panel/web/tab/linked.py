"""What a request links over several leaves: the references of other leaves in it, and the banner afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from werkzeug.datastructures import MultiDict

from panel.accounts.principal import Action
from panel.core.domain import Row
from panel.core.messages import Message, _, _n, all_of
from panel.integrations.contract import Integration
from panel.web.context import panel
from panel.web.tab.view_models import Banner, row_view
from panel.web.tab.visit import Visit


def elsewhere(form: MultiDict[str, str]) -> dict[str, list[str]]:
    """The references of other leaves in a form. Its values are the id of the leaf, a blank, and the reference."""
    return _by_leaf(form.getlist("elsewhere"))


def _by_leaf(values: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for value in values:
        leaf, _blank, reference = value.partition(" ")
        if reference.strip():
            found.setdefault(leaf, []).append(reference)
    return found


def linked_banner(here: Visit, linked: Sequence[tuple[Integration, Row]], *, at: Integration | None = None) -> Banner:
    """What was linked. ``at`` is the leaf whose list is shown, where that may be another one."""
    leaves = {leaf.id: leaf for leaf, _row in linked}
    undo = _undo(here, [(leaf.id, row.pointer.reference) for leaf, row in linked])
    rows = tuple((leaf.id, row_view(here, leaf, row)) for leaf, row in linked)
    only = next(iter(leaves.values())) if len(leaves) == 1 else None
    if len(linked) == 1:
        return Banner(_text(only, at), rows[0][1].title, undo, linked=rows)
    counts = [counted(leaf, sum(1 for other, _row in linked if other is leaf)) for leaf in leaves.values()]
    return Banner(_text(only, at), all_of(counts), undo, linked=rows)


def with_other_leaves(here: Visit, banner: Banner, values: Sequence[str]) -> Banner:
    """The banner with what the same request linked in other leaves, as far as it is linked now."""
    for integration, references in _by_leaf(values).items():
        found = panel().finder.linked_among(here.visitor, integration, here.object, references)
        if found:
            leaf = panel().registry.get(integration)
            title = all_of([banner.title, counted(leaf, len(found))])
            undo = (*banner.undo, *_undo(here, [(integration, reference) for reference in found]))
            banner = replace(banner, title=title, undo=undo)
    return banner


def counted(leaf: Integration, number: int) -> str:
    """``2 work packages``."""
    noun, nouns = leaf.descriptor.noun, leaf.descriptor.noun_plural
    return _n("{n} {noun}", "{n} {nouns}", number, noun=noun, nouns=nouns)


def _undo(here: Visit, references: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(references) if here.may(Action.UNLINK) else ()


def _text(leaf: Integration | None, at: Integration | None) -> Message:
    """``leaf`` is the only one in which something was linked."""
    if leaf is None or at is None or leaf is at:
        return _("Linked {title}")
    # The banner fills in the title.
    return _("Linked {title} under {label}", title="{title}", label=leaf.descriptor.label)
