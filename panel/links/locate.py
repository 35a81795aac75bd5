"""Reads linked items, and looks for those that are not where their references say."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from panel.connector import Upstream
from panel.core.domain import Item, Pointer, State
from panel.core.errors import ProviderUnavailable
from panel.integrations.contract import Integration

log = logging.getLogger(__name__)


def read_items(leaf: Integration, upstream: Upstream, shown: Sequence[Pointer]) -> Mapping[str, Item]:
    """The items of the pointers by reference; those that moved with their new places."""
    if not shown:
        return {}
    return located(leaf, upstream, leaf.fetch_many(upstream, [pointer.reference for pointer in shown]), shown)


def located(
    leaf: Integration, upstream: Upstream, items: Mapping[str, Item], shown: Iterable[Pointer]
) -> Mapping[str, Item]:
    """The items; those that are not at their references as moved, where the leaf finds them elsewhere.

    A failure of that search leaves them as they are: the list itself was read.
    """
    absent = [item for item in items.values() if item.state is not State.LIVE]
    if not leaf.can_move or not absent:
        return items
    origins = {pointer.reference: pointer.origin for pointer in shown if pointer.origin is not None}
    try:
        return {**items, **leaf.locate(upstream, absent, origins)}
    except ProviderUnavailable as exc:
        log.warning("%s: moved items could not be looked for: %s", leaf.id, exc.reason.value)
        return items
