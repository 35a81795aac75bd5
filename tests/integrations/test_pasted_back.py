"""Whatever the panel shows of an item can be pasted back and leads to the same item."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest
from openproject_tracker import Tracker, tracker_fixture
from xwiki_wiki import WikiServer, wiki_fixture

from panel.connector import Upstream
from panel.core.domain import Item
from panel.core.errors import InvalidInput, NotFound
from panel.core.text import trimmed
from panel.integrations.contract import Integration
from panel.integrations.xwiki.reference import PageReference
from panel.links.pasted import resolve_pasted
from panel.web.formatting import short_reference
from panel.web.mcp.tool import escaped, unescaped
from panel.web.tab.columns import Columns

ROWS = 500
SEED = 20261130

NAMES = (
    "Sandbox", "WebHome", "07. Dev", "a.b+c d", "50% off?", "a%2Fb", "x:y", "it's \"q\"", "a;b", "Überprüfung", "# hash",
    "Vergadering & besluit", "naïve café", "日本語", "\U0001f468‍\U0001f469‍\U0001f467 plan", "❤️", "مرحبا", "a=b&c",
    "C++", "back\\slash", "en/of", "(1)", "[a]", "a|b", "~tilde", "1.0", "view", "edit", "wiki", "docs", "e.V.", "...x",
    "x>>y", "x__y", "<b>", "{{velocity}}", "$x", "doc", "\u200bzero", "end\u200b", "Ａ", "ﬁ",
)  # fmt: skip
"""Names of spaces and pages as people give them; those without a meaning in addresses are in the minority."""

PASTED_AROUND = ("{}", " {}\n", "\u200b{}", "\ufeff{}\u200b", "\u202a{}\u202c", "\u2066{}\u2069 ")


def shown(leaf: Integration, item: Item, upstream: Upstream) -> list[str]:
    """What rows, pages and answers show of an item, and each can be copied from there."""
    row = leaf.row(item)
    columns = Columns(leaf)
    short = columns.number(item) if columns.layout == "ticket" else short_reference(item.reference, leaf)
    texts = [item.reference, item.url, leaf.url_for(upstream.source, item.reference), short]
    texts += [str(row[name]) for name in ("id", "reference", "displayId", "url") if name in row]
    texts += [unescaped(str(escaped(text))) for text in texts]
    return list(dict.fromkeys(texts))


def wrong(leaf: Integration, upstream: Upstream, items: Iterable[Item]) -> list[str]:
    """What was refused, or led to another item."""
    dice = random.Random(SEED)
    found = []
    for item in items:
        for text in shown(leaf, item, upstream):
            # Of two invisible characters at one end nobody can tell which belongs to the name.
            pasted = dice.choice(PASTED_AROUND).format(text) if trimmed(text) == text else text
            try:
                reference = resolve_pasted(leaf, upstream, pasted).reference
            except (InvalidInput, NotFound) as exc:
                reference = str(exc)
            if reference != item.reference:
                found.append(f"{pasted!r} of {item.reference!r}: {reference!r}")
    return found


# --- xWiki -----------------------------------------------------------------------------------------------------------

wiki = wiki_fixture("modern")


def random_pages(dice: random.Random) -> Iterator[PageReference]:
    """Pages at all depths, terminal and nested; some are twins such as ``A.B`` and ``A.B.WebHome``."""
    while True:
        spaces = tuple(dice.choices(NAMES, k=dice.choice((1, 1, 2, 3))))
        name = dice.choice(NAMES) if dice.random() < 0.6 else "WebHome"
        if not any("/" in part or "\\" in part for part in (*spaces, name)) and "WebHome" not in spaces:
            yield PageReference("xwiki", spaces, name)


def fill(wiki: WikiServer, number: int = ROWS) -> list[str]:
    pages: dict[str, None] = {}
    for page in random_pages(random.Random(SEED)):
        pages[str(page)] = None
        if len(pages) == number:
            break
    for reference in pages:
        wiki.standin.add_page(reference, title="Odd")
    return list(pages)


@pytest.mark.parametrize("options", [{}])
def test_rows_of_pages_lead_back_to_their_pages(wiki: WikiServer, options: dict[str, str]) -> None:
    references = fill(wiki)

    wiki.connector.cache_ttl_s = 60
    with wiki.open(wiki.source(), deadline_s=120) as upstream:
        items = wiki.leaf.fetch_many(upstream, references)

        assert {item.state.value for item in items.values()} == {"live"}
        assert wrong(wiki.leaf, upstream, items.values()) == []


# --- OpenProject -----------------------------------------------------------------------------------------------------

tracker = tracker_fixture("17")


@pytest.mark.parametrize("are_semantic", [False, True])
def test_rows_of_work_packages_lead_back_to_their_work_packages(tracker: Tracker, are_semantic: bool) -> None:
    tracker.standin.semantic_display_ids = are_semantic
    numbers = [str(number) for number in tracker.standin.add_many(ROWS, project_id=1)]

    with tracker.open(deadline_s=120) as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)

        assert wrong(tracker.leaf, upstream, items.values()) == []
