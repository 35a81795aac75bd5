"""Many pages at once: few requests, every pointer answered, and one bad row never spoils the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from werkzeug.wrappers import Request
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.domain import Item, Reason, State
from panel.core.errors import ProviderUnavailable

wiki = wiki_fixture("legacy", "modern", "solr-only")
modern = wiki_fixture("modern")
closed = wiki_fixture("solr-only")

QUERY = f"{REST}/query"
KNOWN = ["xwiki:Main.WebHome", r"xwiki:07\. Dev.WebHome", "xwiki:Sandbox.TestPage1", "xwiki:Dev.Sub.WebHome"]


def _many(wiki: WikiServer, references: Sequence[str]) -> dict[str, Item]:
    return dict(wiki.leaf.fetch_many(wiki.open(), references))


def _states(items: dict[str, Item]) -> dict[str, str]:
    return {reference.removeprefix("xwiki:"): item.state.value for reference, item in items.items()}


def _add_pages(
    wiki: WikiServer, count: int, *, space: str = "Sandbox", hidden: bool = False, indexed: bool = True
) -> list[str]:
    names = [f"{space}.Many{number}" for number in range(count)]
    for name in names:
        wiki.standin.add_page(name, title=f"About {name}", hidden=hidden, indexed=indexed)
    return [f"xwiki:{name}" for name in names]


def test_fifty_pages_take_two_requests(wiki: WikiServer) -> None:
    references = _add_pages(wiki, 50)

    with wiki.standin.counting() as seen:
        items = _many(wiki, references)

    assert [item.title for item in items.values()] == [f"About {one.removeprefix('xwiki:')}" for one in references]
    assert paths(seen) == ["GET /query", "GET /query"]


def test_long_names_in_other_scripts_keep_the_address_short(modern: WikiServer) -> None:
    references = _add_pages(modern, 30, space="文書管理規程" * 8)

    with modern.standin.counting() as seen:
        items = _many(modern, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert all(len(one.path) + len(one.query) < 6000 for one in seen)


def test_every_reference_is_answered_once_and_under_its_own_name(wiki: WikiServer) -> None:
    items = _many(wiki, [*KNOWN, KNOWN[0]])

    assert list(items) == KNOWN
    assert [item.reference for item in items.values()] == KNOWN


def test_nothing_to_show_asks_nothing(modern: WikiServer) -> None:
    with modern.standin.counting() as seen:
        assert _many(modern, []) == {}

    assert seen == []


def test_deleted_and_closed_pages_are_gone_and_spoil_nothing(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.Deleted")
    wiki.standin.remove_page("Sandbox.Deleted")
    wiki.standin.index()

    items = _many(wiki, ["xwiki:Sandbox.Deleted", "xwiki:Secret.WebHome", *KNOWN[:1]])

    assert _states(items) == {"Sandbox.Deleted": "gone", "Secret.WebHome": "gone", "Main.WebHome": "live"}


def test_a_gone_row_has_every_key(wiki: WikiServer) -> None:
    item = _many(wiki, ["xwiki:Dev.Sub.Nope"])["xwiki:Dev.Sub.Nope"]

    assert wiki.leaf.row(item) == {
        "id": "xwiki:Dev.Sub.Nope",
        "reference": "xwiki:Dev.Sub.Nope",
        "title": "Dev.Sub.Nope",
        "space": "Dev.Sub",
        "page": "Nope",
        "breadcrumb": ["Dev", "Sub", "Nope"],
        "url": f"{wiki.root}/bin/view/Dev/Sub/Nope",
        "version": None,
        "modified": None,
        "state": "gone",
    }


def test_a_renamed_page_is_gone_under_its_old_name(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.Before")
    wiki.standin.rename_page("Sandbox.Before", "Sandbox.After")
    wiki.standin.index()

    assert _states(_many(wiki, ["xwiki:Sandbox.Before", "xwiki:Sandbox.After"])) == {
        "Sandbox.Before": "gone",
        "Sandbox.After": "live",
    }


def test_a_hidden_page_is_shown_although_the_index_hides_it(wiki: WikiServer) -> None:
    with wiki.standin.counting() as seen:
        items = _many(wiki, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"])

    assert items["xwiki:Sandbox.Hid"].title == "Hidden test"
    assert paths(seen) == ["GET /query", "GET /spaces/Sandbox/pages/Hid"]


def test_pages_that_the_index_does_not_know_yet_come_from_the_database(modern: WikiServer) -> None:
    references = _add_pages(modern, 5, indexed=False)

    with modern.standin.counting() as seen:
        items = _many(modern, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query", "GET /query"]


def test_where_the_database_is_closed_they_are_asked_for_one_by_one(closed: WikiServer) -> None:
    references = _add_pages(closed, 5, indexed=False)

    with closed.standin.counting() as seen:
        items = _many(closed, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert sorted(paths(seen)) == ["GET /query", *(f"GET /spaces/Sandbox/pages/Many{n}" for n in range(5))]


def test_a_database_that_refuses_is_not_asked_again_for_a_while(modern: WikiServer) -> None:
    modern.standin.xwql_enabled = False
    references = _add_pages(modern, 5, indexed=False)
    source = modern.source()

    counts = []
    for _ in range(2):
        with modern.standin.counting() as seen:
            modern.leaf.fetch_many(modern.open(source), references)
        counts.append([one.path for one in seen].count("/xwiki" + QUERY))

    assert counts == [2, 1]


def test_a_database_that_answers_is_asked_each_time(modern: WikiServer) -> None:
    references, source = _add_pages(modern, 5, indexed=False), modern.source()

    for _ in range(2):
        with modern.standin.counting() as seen:
            items = modern.leaf.fetch_many(modern.open(source), references)
        assert len(seen) == 2
        assert {item.state for item in items.values()} == {State.LIVE}


@pytest.mark.parametrize("status", [400, 500])
def test_without_any_query_every_page_is_asked_for(wiki: WikiServer, status: int) -> None:
    wiki.reply(status, "Error performing solr search", path=QUERY)

    items = _many(wiki, [*KNOWN, "xwiki:Secret.WebHome", "xwiki:Sandbox.Nope"])

    assert [item.state.value for item in items.values()] == ["live"] * 4 + ["gone"] * 2
    assert items[r"xwiki:07\. Dev.WebHome"].title == "Seven dev"


def test_a_name_cannot_end_its_quotation(wiki: WikiServer) -> None:
    odd = [r"Sandbox.x') or ('1'='1", 'Sandbox.a" OR wiki:"xwiki', "Sandbox.it's", r"Sandbox.b\\"]
    for name in odd:
        wiki.standin.add_page(name, title=name, indexed=name == odd[1])

    items = _many(wiki, [*(f"xwiki:{name}" for name in odd), "xwiki:Secret.WebHome"])

    assert [item.state.value for item in items.values()] == ["live", "live", "live", "gone", "gone"]
    assert items[f"xwiki:{odd[0]}"].title == odd[0]


def test_names_with_marks_of_the_query_are_found_by_the_index(wiki: WikiServer) -> None:
    odd = [r"07\. Dev.WebHome", 'Sandbox.say "so"', r"Sandbox.b\\c", "Sandbox.a:b (c) AND [d]"]
    for name in odd[1:]:
        wiki.standin.add_page(name)

    with wiki.standin.counting() as seen:
        items = _many(wiki, [f"xwiki:{name}" for name in odd])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query"]


def test_names_with_apostrophes_are_found_by_the_database(modern: WikiServer) -> None:
    odd = [f"Sandbox.it's {number}" for number in range(3)]
    for name in odd:
        modern.standin.add_page(name, indexed=False)

    with modern.standin.counting() as seen:
        items = _many(modern, [f"xwiki:{name}" for name in odd])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query", "GET /query"]


def test_a_name_that_rest_cannot_carry_is_found_in_the_index(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.and/or", title="Slash")

    items = _many(wiki, ["xwiki:Sandbox.and/or", "xwiki:Sandbox.no/where"])

    assert _states(items) == {"Sandbox.and/or": "live", "Sandbox.no/where": "gone"}


@pytest.mark.parametrize("reference", ["junk", "", "docs:A.B", "A..B", "xwiki:A.B\n", "x" * 5000])
def test_what_is_no_reference_of_this_wiki_is_gone_and_never_sent(modern: WikiServer, reference: str) -> None:
    with modern.standin.counting() as seen:
        items = _many(modern, [reference, "xwiki:Main.WebHome"])

    assert [item.state.value for item in items.values()] == ["gone", "live"]
    assert items[reference].reference == reference
    assert len(seen) == 1


def test_hits_that_were_not_asked_for_are_left_out(modern: WikiServer) -> None:
    alien = [{"id": "docs:Main.WebHome", "wiki": "docs", "title": "Alien"}, {"id": "xwiki:Other.Page"}, {"id": 7}, None]
    modern.rewrite(lambda body: body["searchResults"].extend(alien), path=QUERY)

    items = _many(modern, KNOWN[:1])

    assert [item.title for item in items.values()] == ["Home"]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_translation_stands_behind_its_page(modern: WikiServer, backwards: bool) -> None:
    modern.standin.add_translation("Main.WebHome", "nl", title="Thuis")

    def sort(body: dict[str, Any]) -> None:
        body["searchResults"].sort(key=lambda hit: bool(hit["language"]), reverse=backwards)

    modern.rewrite(sort, path=QUERY)

    assert _many(modern, KNOWN[:1])[KNOWN[0]].title == "Home"


def test_a_page_too_long_to_be_read_is_there(modern: WikiServer) -> None:
    modern.standin.add_page("Sandbox.Long", title="Long", content="x" * 6_000_000, indexed=False)

    items = _many(modern, ["xwiki:Sandbox.Long", *KNOWN])

    assert (items["xwiki:Sandbox.Long"].state, items["xwiki:Sandbox.Long"].title) == (State.LIVE, "Long")


def test_a_page_that_makes_the_server_stumble_spoils_nothing(modern: WikiServer) -> None:
    modern.reply(500, "NullPointerException", path=f"{REST}/spaces/Sandbox/pages/Hid")

    states = _states(_many(modern, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"]))

    assert states == {"Sandbox.Hid": "gone", "Main.WebHome": "live"}


def test_a_server_that_can_read_nothing_has_failed(modern: WikiServer) -> None:
    modern.standin.fault, modern.standin.fault_only = "server-error", lambda request: "/pages/" in request.path

    with pytest.raises(ProviderUnavailable) as caught:
        _many(modern, ["xwiki:Sandbox.Hid", "xwiki:Sandbox.Nope"])

    assert caught.value.reason is Reason.SERVER_ERROR


@pytest.mark.parametrize(
    ("fault", "reason"), [("unavailable", Reason.SERVER_ERROR), ("rate-limited", Reason.RATE_LIMITED)]
)
@pytest.mark.parametrize("where", ["/query", "/pages/"])
def test_a_failure_on_the_way_is_never_a_gone_page(modern: WikiServer, fault: str, reason: Reason, where: str) -> None:
    modern.standin.fault = fault

    def failing(request: Request) -> bool:
        return where in request.path

    modern.standin.fault_only = failing

    with pytest.raises(ProviderUnavailable) as caught:
        _many(modern, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"])

    assert caught.value.reason is reason


def test_a_list_that_is_missing_is_not_an_empty_list(modern: WikiServer) -> None:
    modern.rewrite(dict.clear, path=QUERY)

    with pytest.raises(ProviderUnavailable, match="without searchResults"):
        _many(modern, KNOWN)


def test_an_account_that_lost_a_page_gets_it_back(wiki: WikiServer) -> None:
    wiki.standin.deny_view("Sandbox.TestPage1")
    before = _many(wiki, ["xwiki:Sandbox.TestPage1"])
    wiki.standin.allow_view("Sandbox.TestPage1")

    after = _many(wiki, ["xwiki:Sandbox.TestPage1"])

    assert [*_states(before).values(), *_states(after).values()] == ["gone", "live"]
