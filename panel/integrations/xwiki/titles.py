"""Titles and labels of xWiki as plain text. xWiki sends them in two forms, and only this module tells them apart.

XHTML, with entities for ``&``, ``<`` and ``>``: the title of a page, of its summary, and of a hit of the database.
Plain text: the labels of a hierarchy, and the title of a hit of the index or of a space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.core.text import one_line
from panel.integrations.xwiki.text import from_xhtml


def title_of(payload: Mapping[str, Any]) -> str:
    """The title of a page, a summary or a hit; "" for one without a title."""
    title = payload.get("title")
    if not isinstance(title, str):
        return ""
    return one_line(title) if _has_plain_title(payload) else from_xhtml(title)


def label_of(entry: Mapping[str, Any]) -> str:
    """The label of an entry of a hierarchy, else its name; "" without either."""
    return line_of(entry.get("label")) or line_of(entry.get("name"))


def line_of(value: object) -> str:
    """A value that is plain text, on one line; "" for a value that is no string."""
    return one_line(value) if isinstance(value, str) else ""


def _has_plain_title(payload: Mapping[str, Any]) -> bool:
    """Whether it is a hit of the index, which alone has a score, or a space."""
    score = payload.get("score")
    return payload.get("type") == "space" or (isinstance(score, int | float) and not isinstance(score, bool))
