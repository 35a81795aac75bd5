"""Searching pages by words: the index first, then xWiki's keyword search, then names; only what the account may see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.xwiki.query import all_words

wiki = wiki_fixture("legacy", "16", "18")
sixteen = wiki_fixture("16")
eighteen = wiki_fixture("18")


def _search(wiki: WikiServer, text: str, limit: int = 10) -> list[str]:
    return [item.reference.removeprefix("xwiki:") for item in wiki.leaf.search(wiki.open(), text, limit=limit)]


def _switch_off_the_index(wiki: WikiServer) -> None:
    wiki.standin.query_types.clear()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Test page", "Sandbox.TestPage1"),
        ("testpage1", "Sandbox.TestPage1"),
        ("find", "Sandbox.TestPage1"),
        ("Nested", "Dev.Sub.WebHome"),
    ],
)
def test_title_name_and_content_are_searched_in_one_request(wiki: WikiServer, words: str, found: str) -> None:
    with wiki.standin.counting() as seen:
        assert _search(wiki, words)[0] == found

    assert paths(seen) == ["GET /query"]


@pytest.mark.parametrize(
    "words", ["permit building", "BUILDING permit", "build perm", "perm buildi", "  permit\tBuilding "]
)
def test_words_are_found_in_any_order_and_by_their_beginning(wiki: WikiServer, words: str) -> None:
    wiki.standin.add_page("Sandbox.File", title="Building the permit file")
    wiki.standin.add_page("Sandbox.Other", title="Building")

    assert _search(wiki, words) == ["Sandbox.File"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("it's", "it's here"),
        ("AND", "salt and pepper"),
        ("NOT or", "to be or not to be"),
        ("über", "Überprüfung — Straße"),
        ("v1.2", "Notes of v1.2"),
    ],
)
def test_words_that_mean_something_to_the_index_are_only_words(wiki: WikiServer, text: str, title: str) -> None:
    wiki.standin.add_page("Sandbox.P", title=title)

    assert _search(wiki, text)[0] == "Sandbox.P"


def test_every_special_character_is_escaped() -> None:
    special = '+-&|!(){}[]^"~*?:\\/'

    assert all_words(f"a{special} OR b") == "+({0} OR {0}*) +(or OR or*) +(b OR b*)".format(
        "a" + "".join(f"\\{char}" for char in special)
    )


@pytest.mark.parametrize("text", ["Building › permit file", "building - permit", "Sandbox · File"])
def test_signs_between_words_are_no_words(wiki: WikiServer, text: str) -> None:
    wiki.standin.add_page("Sandbox.File", title="Building the permit file")

    assert "Sandbox.File" in _search(wiki, text)


@pytest.mark.parametrize("text", ["test", "secret", "hid", ""])
@pytest.mark.parametrize("has_index", [True, False])
def test_denied_pages_are_never_found(wiki: WikiServer, text: str, has_index: bool) -> None:
    if not has_index:
        _switch_off_the_index(wiki)

    assert "Secret.WebHome" not in _search(wiki, text, 100)


@pytest.mark.parametrize("text", ["test", "hid", ""])
def test_hidden_pages_are_not_found(wiki: WikiServer, text: str) -> None:
    assert "Sandbox.Hid" not in _search(wiki, text, 100)


def test_an_empty_search_lists_the_latest_first(wiki: WikiServer) -> None:
    for day, name in enumerate(("Old", "New", "Mid"), start=1):
        modified_at = datetime(2030, 1, {"Old": 1, "Mid": 2, "New": 3}[name], day, tzinfo=UTC)
        wiki.standin.add_page(f"Sandbox.{name}", modified=modified_at)

    assert _search(wiki, " ", 3) == ["Sandbox.New", "Sandbox.Mid", "Sandbox.Old"]


def test_a_page_with_translations_is_one_result_with_its_original_title(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.P", title="Original", modified=datetime(2030, 1, 1, tzinfo=UTC))
    wiki.standin.add_translation("Sandbox.P", "aa", title="Translated")

    for text in ("", "Translated"):
        items = wiki.leaf.search(wiki.open(), text, limit=1)
        assert [item.title for item in items] == ["Original"]


def test_a_translation_that_a_deleted_page_left_is_not_found(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.P", title="Original")
    wiki.standin.add_translation("Sandbox.P", "nl", title="Vertaald")
    wiki.standin.remove_page("Sandbox.P")
    wiki.standin.index()

    assert _search(wiki, "Vertaald") == []


def test_hits_that_are_not_pages_are_dropped(sixteen: WikiServer) -> None:
    hits = [
        {"type": "space", "id": "Dev.Sub"},
        {"type": "object", "id": "xwiki:A.B"},
        {"type": "page", "id": "docs:A.B"},
        7,
        {"type": "page", "id": None},
        {"type": "page", "id": "xwiki:Sandbox.P", "title": "P", "url": "x"},
    ]
    sixteen.rewrite(lambda body: body.update(searchResults=hits), path=f"{REST}/query")

    assert _search(sixteen, "x") == ["Sandbox.P"]


def test_the_url_of_a_hit_is_built_from_its_reference(wiki: WikiServer) -> None:
    item = wiki.leaf.search(wiki.open(), "Seven", limit=5)[0]

    assert (item.title, item.url) == ("Seven dev", f"{wiki.root}/bin/view/07.%20Dev/")


@pytest.mark.parametrize(("limit", "found"), [(1, 1), (0, 1), (25, 25), (5000, 100)])
def test_a_search_returns_at_most_a_hundred_pages(wiki: WikiServer, limit: int, found: int) -> None:
    for number in range(120):
        wiki.standin.add_page(f"Sandbox.Many{number}", title="Many of them")

    assert len(_search(wiki, "many", limit)) == found


# --- without the index -----------------------------------------------------------------------------------------------


def test_what_the_index_does_not_know_yet_is_found_by_the_keyword_search(sixteen: WikiServer) -> None:
    sixteen.standin.add_page("Sandbox.Fresh", title="Just made", indexed=False)

    with sixteen.standin.counting() as seen:
        assert _search(sixteen, "just made") == ["Sandbox.Fresh"]

    assert paths(seen) == ["GET /query", "GET /search"]
    assert [one for one in seen[1].params if one[0] == "scope"] == [("scope", s) for s in ("title", "name", "content")]


def test_the_keyword_search_replaces_a_switched_off_index(wiki: WikiServer) -> None:
    _switch_off_the_index(wiki)

    assert _search(wiki, "testpage")[0] == "Sandbox.TestPage1"


@pytest.mark.parametrize(("text", "found"), [("pla_ning", []), ("%", ["Sandbox.Half"]), ("50%", ["Sandbox.Half"])])
def test_a_percent_sign_and_an_underscore_stand_for_themselves(
    sixteen: WikiServer, text: str, found: list[str]
) -> None:
    _switch_off_the_index(sixteen)
    sixteen.standin.add_page("Sandbox.Plan", title="planning")
    sixteen.standin.add_page("Sandbox.Half", title="50% off")

    assert _search(sixteen, text) == found


@pytest.mark.parametrize("text", ["testpage", ""])
def test_without_index_and_keyword_search_pages_are_found_by_their_names(wiki: WikiServer, text: str) -> None:
    _switch_off_the_index(wiki)
    wiki.reply(500, "Error", path=f"{REST}/search")

    found = _search(wiki, text, 100)

    assert "Sandbox.TestPage1" in found
    assert not {"Secret.WebHome"} & set(found)


def test_a_page_is_found_by_its_name_only_after_it_was_read(sixteen: WikiServer) -> None:
    _switch_off_the_index(sixteen)
    sixteen.reply(500, "Error", path=f"{REST}/search")
    sixteen.standin.add_page("Secret.Sandbox plans", title="Secret plans")
    sixteen.standin.add_page("Sandbox.Plans", title="R&amp;D plans")

    items = sixteen.leaf.search(sixteen.open(), "plans", limit=10)

    assert [(item.reference, item.title) for item in items] == [("xwiki:Sandbox.Plans", "R&amp;D plans")]


def test_a_script_in_a_stored_title_is_not_shown_raw(sixteen: WikiServer) -> None:
    """The list of names has stored titles, so the title is that of the page as it was read."""
    _switch_off_the_index(sixteen)
    sixteen.reply(400, path=f"{REST}/search")
    sixteen.standin.add_page("Sandbox.Scripted", title="$services.localization.render('x')")
    page = f"{REST}/spaces/Sandbox/pages/Scripted"
    sixteen.rewrite(lambda body: body.update(title="Rendered &amp; shown"), path=page)

    assert [item.title for item in sixteen.leaf.search(sixteen.open(), "Scripted", limit=5)] == ["Rendered & shown"]


def test_a_hanging_index_leaves_time_for_the_keyword_search(sixteen: WikiServer) -> None:
    sixteen.standin.hang_index(3)

    items = sixteen.leaf.search(sixteen.open(deadline_s=2), "testpage", limit=5)

    assert [item.reference for item in items] == ["xwiki:Sandbox.TestPage1"]


def test_a_failure_of_every_way_is_not_an_empty_result(wiki: WikiServer) -> None:
    wiki.standin.fault = "unavailable"

    with pytest.raises(ProviderUnavailable) as caught:
        _search(wiki, "testpage")

    assert caught.value.reason is Reason.SERVER_ERROR


@pytest.mark.parametrize("text", ['"', "a AND (", "\\", "%", "*:*", "*", "+ -", "a:b", "x" * 5000, "\ud800", "~^"])
@pytest.mark.parametrize("has_index", [True, False])
def test_special_characters_do_not_break_the_search(wiki: WikiServer, text: str, has_index: bool) -> None:
    if not has_index:
        _switch_off_the_index(wiki)

    assert isinstance(_search(wiki, text), list)


# --- word order, totals, titles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["permit building", "BUILDING permit", "perm build", "  permit\tBuilding "])
def test_words_in_any_order_are_found_without_the_index(wiki: WikiServer, words: str) -> None:
    _switch_off_the_index(wiki)
    wiki.standin.add_page("Sandbox.File", title="Building the permit file")
    wiki.standin.add_page("Sandbox.Other", title="Building")

    assert _search(wiki, words) == ["Sandbox.File"]


def test_words_in_any_order_are_found_among_the_names(sixteen: WikiServer) -> None:
    _switch_off_the_index(sixteen)
    sixteen.reply(500, "Error", path=f"{REST}/search")
    sixteen.standin.add_page("Sandbox.Building permit file", title="File")

    assert _search(sixteen, "permit build") == ["Sandbox.Building permit file"]


@pytest.mark.parametrize("has_index", [True, False])
def test_titles_only_leaves_out_what_the_text_says(wiki: WikiServer, has_index: bool) -> None:
    if not has_index:
        _switch_off_the_index(wiki)
    wiki.standin.add_page("Sandbox.Titled", title="Dormer rules")
    wiki.standin.add_page("Sandbox.Texted", title="Roofs", content="A dormer has rules.")

    everywhere = wiki.leaf.find(wiki.open(), "dormer", limit=10)
    titles = wiki.leaf.find(wiki.open(), "dormer", limit=10, titles_only=True)

    assert {item.title for item in everywhere.items} == {"Dormer rules", "Roofs"}
    assert [item.title for item in titles.items] == ["Dormer rules"]


@pytest.mark.parametrize(("pages", "total", "more"), [(23, 23, False), (120, 100, True)])
def test_a_search_counts_what_it_does_not_show(wiki: WikiServer, pages: int, total: int, more: bool) -> None:
    for number in range(pages):
        wiki.standin.add_page(f"Sandbox.Many{number}", title="Many of them")

    with wiki.standin.counting() as seen:
        hits = wiki.leaf.find(wiki.open(), "many", limit=6)

    assert (len(hits.items), hits.total, hits.more) == (6, total, more)
    assert paths(seen) == ["GET /query"]
