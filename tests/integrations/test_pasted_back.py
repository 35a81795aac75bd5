"""Whatever the panel shows of an item can be pasted back and leads to the same item."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest
from openproject_tracker import Tracker, tracker_fixture
from xwiki_wiki import WikiServer, wiki_fixture

from panel.connector import Upstream
from panel.core.domain import Item, State
from panel.core.errors import InvalidInput, NotFound
from panel.core.text import trimmed
from panel.integrations.contract import Integration
from panel.integrations.xwiki.reference import HOME, PageReference
from panel.links.pasted import resolve_pasted
from panel.web.mcp.tool import escaped, unescaped
from panel.web.tab.columns import Columns

ROWS = 500
SEED = 20261130

NAMES = (
    "Sandbox", "WebHome", "07. Dev", "a.b+c d", "50% off?", "a%2Fb", "x:y", "it's \"q\"", "a;b", "Überprüfung", "# hash",
    "Vergadering & besluit", "naïve café", "日本語", "\U0001f468‍\U0001f469‍\U0001f467 plan", "❤️", "مرحبا", "a=b&c",
    "C++", "back\\slash", "en/of", "(1)", "[a]", "a|b", "~tilde", "1.0", "view", "edit", "wiki", "docs", "e.V.", "...x",
    "x>>y", "x__y", "<b>", "{{velocity}}", "$x", "doc", "a › b", "c · d", "\u200bzero", "end\u200b", "Ａ", "ﬁ",
)  # fmt: skip
"""Names of spaces and pages as people give them; those without a meaning in addresses are in the minority."""

PASTED_AROUND = ("{}", " {}\n", "\u200b{}", "\ufeff{}\u200b", "\u202a{}\u202c", "\u2066{}\u2069 ")


def shown(leaf: Integration, item: Item, upstream: Upstream) -> list[str]:
    """What rows, pages and answers show of an item, and each can be copied from there."""
    row = leaf.row(item)
    columns = Columns(leaf)
    short = columns.number(item) if columns.layout == "ticket" else leaf.shown_reference(item.reference)
    texts = [item.reference, item.url, leaf.url_for(upstream.source, item.reference), short]
    texts += [item.reference.removeprefix(f"{leaf.id}:")]
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

wiki = wiki_fixture("18")

ADDRESSES = {
    "as usual": ("18", "/xwiki/bin/view"),
    "without the action": ("18", "/xwiki/bin"),
    "short": ("18", "/wiki"),
    "without anything": ("18", ""),
    "of a server without slashes": ("16", "/xwiki/bin/view"),
}
"""Profile, and the path before the names of a page in the addresses that the wiki builds."""

AMBIGUOUS = frozenset({"view", "edit", "wiki"})
"""xWiki adds the action to the address of a space with such a name, the sandbox does not."""


def is_served(page: PageReference, profile: str) -> bool:
    return profile == "18" or not any("/" in name or "\\" in name for name in (*page.spaces, page.name))


def random_pages(dice: random.Random) -> Iterator[PageReference]:
    """Pages at all depths, terminal and nested; some are twins such as ``A.B`` and ``A.B.WebHome``."""
    while True:
        spaces = tuple(dice.choices([name for name in NAMES if name != HOME], k=dice.choice((1, 1, 2, 3))))
        if spaces[0] not in AMBIGUOUS:
            yield PageReference("xwiki", spaces, dice.choice(NAMES) if dice.random() < 0.6 else HOME)


@pytest.mark.parametrize("spelled", ADDRESSES)
def test_rows_of_pages_lead_back_to_their_pages(wiki: WikiServer, spelled: str) -> None:
    profile, path = ADDRESSES[spelled]
    wiki.standin.behave_like(profile)
    wiki.standin.public_url, wiki.standin.view_path = wiki.server.url, path
    pages = (page for page in random_pages(random.Random(spelled)) if is_served(page, profile))
    references = list(dict.fromkeys(str(page) for page in islice(pages, ROWS // len(ADDRESSES))))
    for reference in references:
        wiki.standin.add_page(reference, title="Odd")
    wiki.connector.cache_ttl_s = 60

    with wiki.open(deadline_s=120) as upstream:
        items = wiki.leaf.fetch_many(upstream, references).values()
        singly = [wiki.leaf.fetch(upstream, reference) for reference in references]

        assert {item.state for item in items} == {State.LIVE}
        assert {item.url.startswith(f"{wiki.server.url}{path}/") for item in singly} == {True}
        assert wrong(wiki.leaf, upstream, items) == []
        assert wrong(wiki.leaf, upstream, singly) == []


# --- OpenProject -----------------------------------------------------------------------------------------------------

tracker = tracker_fixture("17")


@pytest.mark.parametrize("are_semantic", [False, True])
def test_rows_of_work_packages_lead_back_to_their_work_packages(tracker: Tracker, are_semantic: bool) -> None:
    tracker.standin.semantic_display_ids = are_semantic
    tracker.connector.cache_ttl_s = 60
    numbers = [str(number) for number in tracker.standin.add_many(ROWS // 2, project_id=1)]

    with tracker.open(deadline_s=120) as upstream:
        items = tracker.leaf.fetch_many(upstream, numbers)

        assert wrong(tracker.leaf, upstream, items.values()) == []
