"""Titles: every way to a page shows the same words, whichever of its two forms the server sends."""

from __future__ import annotations

from typing import Any

import pytest
from odd_titles import TITLES
from xwiki_wiki import WikiServer, wiki_fixture

from panel.core.text import one_line
from panel.integrations.xwiki.titles import label_of, title_of

wiki = wiki_fixture("16", "18")

EXPECTED = {f"xwiki:Sandbox.Odd{number}": one_line(title) for number, title in enumerate(TITLES)}


def _fill(wiki: WikiServer) -> None:
    for reference, title in zip(EXPECTED, TITLES, strict=True):
        wiki.standin.add_page(reference, title=title)


def test_there_are_a_hundred_titles() -> None:
    assert len(set(EXPECTED.values())) >= 100


def test_every_way_to_a_page_shows_the_same_title(wiki: WikiServer) -> None:
    _fill(wiki)
    upstream = wiki.open()

    linked = {reference: wiki.leaf.resolve(upstream, reference) for reference in EXPECTED}
    listed = wiki.leaf.fetch_many(upstream, list(EXPECTED))
    latest = wiki.leaf.search(upstream, "", limit=100)
    picked = {item.reference: item for item in latest if item.reference in EXPECTED}

    assert {reference: item.title for reference, item in linked.items()} == EXPECTED
    assert {reference: item.title for reference, item in listed.items()} == EXPECTED
    assert len(picked) > 90
    assert {reference: item.title for reference, item in picked.items()}.items() <= EXPECTED.items()
    for item in (*linked.values(), *listed.values(), *picked.values()):
        assert item.facts["breadcrumb"][-1] == item.title


def test_titles_of_the_index_and_of_the_keyword_search_are_the_same(wiki: WikiServer) -> None:
    _fill(wiki)
    wiki.standin.xwql_enabled = False

    listed = wiki.leaf.fetch_many(wiki.open(), list(EXPECTED))
    wiki.standin.query_types.clear()
    found = wiki.leaf.search(wiki.open(), "Odd", limit=100)

    assert {reference: item.title for reference, item in listed.items()} == EXPECTED
    assert len(found) == 100
    assert {item.reference: item.title for item in found}.items() <= EXPECTED.items()


def test_the_titles_of_spaces_above_a_page_are_plain_text(wiki: WikiServer) -> None:
    wiki.standin.add_page("Odd.WebHome", title="A <b>bold</b> & co")
    wiki.standin.add_page("Odd.Page", title="R&amp;D")

    item = wiki.leaf.fetch(wiki.open(), "xwiki:Odd.Page")

    assert item.facts["breadcrumb"] == ["A <b>bold</b> & co", "R&amp;D"]


@pytest.mark.parametrize(
    ("payload", "title"),
    [
        ({"title": "R&amp;D"}, "R&D"),
        ({"title": "R&amp;D", "score": None}, "R&D"),
        ({"title": "R&amp;D", "score": 1.5}, "R&amp;D"),
        ({"title": "R&amp;D", "score": 0}, "R&amp;D"),
        ({"title": "R&amp;D", "score": True}, "R&D"),
        ({"title": "R&amp;D", "type": "space"}, "R&amp;D"),
        ({"title": "<i>a</i> b", "type": "page", "score": 2}, "<i>a</i> b"),
        ({"title": None}, ""),
        ({"title": 7, "score": 1}, ""),
        ({}, ""),
    ],
)
def test_only_hits_of_the_index_and_spaces_have_plain_titles(payload: dict[str, Any], title: str) -> None:
    assert title_of(payload) == title


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        ({"label": "R&amp;D", "name": "RD"}, "R&amp;D"),
        ({"label": "", "name": "RD"}, "RD"),
        ({"label": None, "name": " R  D"}, "R D"),
        ({"label": 7}, ""),
    ],
)
def test_a_label_is_plain_text(entry: dict[str, Any], label: str) -> None:
    assert label_of(entry) == label
