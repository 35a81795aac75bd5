"""Finds the item of a pasted address, id or reference, for every way in."""

from __future__ import annotations

from panel.connector import Upstream
from panel.core.domain import Item
from panel.core.errors import InvalidInput, NotFound
from panel.core.text import trimmed
from panel.integrations.contract import Integration


def resolve_pasted(leaf: Integration, upstream: Upstream, text: str) -> Item:
    """The item of a pasted text, with or without the hidden characters at its ends.

    A name may end with such a character, as a selector after an emoji does, so the text is first tried as it is.
    Raises as ``Integration.resolve``.
    """
    exact, bare = text.strip(), trimmed(text)
    if exact != bare:
        try:
            return leaf.resolve(upstream, exact)
        except (InvalidInput, NotFound):
            pass
    return leaf.resolve(upstream, bare)
