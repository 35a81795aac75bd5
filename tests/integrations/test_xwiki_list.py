"""Fetching many pages: few requests, a result for every reference, and no effect of one bad row on the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from werkzeug.wrappers import Request
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.domain import Item, State
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason

wiki = wiki_fixture("legacy", "modern", "solr-only")
modern = wiki_fixture("modern")
solr_only = wiki_fixture("solr-only")

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


def test_requests_for_long_names_in_other_scripts_stay_short(modern: WikiServer) -> None:
    references = _add_pages(modern, 30, space="文書管理規程" * 8)

    with modern.standin.counting() as seen:
        items = _many(modern, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert all(len(one.path) + len(one.query) < 6000 for one in seen)


def test_every_reference_has_one_result_under_its_own_name(wiki: WikiServer) -> None:
    items = _many(wiki, [*KNOWN, KNOWN[0]])

    assert list(items) == KNOWN
    assert [item.reference for item in items.values()] == KNOWN


def test_an_empty_list_sends_no_request(modern: WikiServer) -> None:
    with modern.standin.counting() as seen:
        assert _many(modern, []) == {}

    assert seen == []


def test_deleted_and_denied_pages_are_gone_and_do_not_affect_the_others(wiki: WikiServer) -> None:
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


def test_a_hidden_page_is_live_although_the_index_omits_it(wiki: WikiServer) -> None:
    with wiki.standin.counting() as seen:
        items = _many(wiki, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"])

    assert items["xwiki:Sandbox.Hid"].title == "Hidden test"
    assert paths(seen) == ["GET /query", "GET /spaces/Sandbox/pages/Hid"]


def test_pages_that_are_not_indexed_yet_come_from_the_database(modern: WikiServer) -> None:
    references = _add_pages(modern, 5, indexed=False)

    with modern.standin.counting() as seen:
        items = _many(modern, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query", "GET /query"]


def test_without_database_queries_unindexed_pages_are_fetched_one_by_one(solr_only: WikiServer) -> None:
    references = _add_pages(solr_only, 5, indexed=False)

    with solr_only.standin.counting() as seen:
        items = _many(solr_only, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert sorted(paths(seen)) == ["GET /query", *(f"GET /spaces/Sandbox/pages/Many{n}" for n in range(5))]


def test_a_refused_database_query_is_not_repeated_for_a_while(modern: WikiServer) -> None:
    modern.standin.xwql_enabled = False
    references = _add_pages(modern, 5, indexed=False)
    source = modern.source()

    counts = []
    for _ in range(2):
        with modern.standin.counting() as seen:
            modern.leaf.fetch_many(modern.open(source), references)
        counts.append([one.path for one in seen].count("/xwiki" + QUERY))

    assert counts == [2, 1]


def test_a_successful_database_query_is_sent_each_time(modern: WikiServer) -> None:
    references, source = _add_pages(modern, 5, indexed=False), modern.source()

    for _ in range(2):
        with modern.standin.counting() as seen:
            items = modern.leaf.fetch_many(modern.open(source), references)
        assert len(seen) == 2
        assert {item.state for item in items.values()} == {State.LIVE}


@pytest.mark.parametrize("status", [400, 500])
def test_without_queries_every_page_is_fetched(wiki: WikiServer, status: int) -> None:
    wiki.reply(status, "Error performing solr search", path=QUERY)

    items = _many(wiki, [*KNOWN, "xwiki:Secret.WebHome", "xwiki:Sandbox.Nope"])

    assert [item.state.value for item in items.values()] == ["live"] * 4 + ["gone"] * 2
    assert items[r"xwiki:07\. Dev.WebHome"].title == "Seven dev"


def test_a_name_cannot_end_its_quoted_string(wiki: WikiServer) -> None:
    names = [r"Sandbox.x') or ('1'='1", 'Sandbox.a" OR wiki:"xwiki', "Sandbox.it's", r"Sandbox.b\\"]
    for name in names:
        wiki.standin.add_page(name, title=name, indexed=name == names[1])

    items = _many(wiki, [*(f"xwiki:{name}" for name in names), "xwiki:Secret.WebHome"])

    assert [item.state.value for item in items.values()] == ["live", "live", "live", "gone", "gone"]
    assert items[f"xwiki:{names[0]}"].title == names[0]


def test_names_with_query_syntax_are_found_by_the_index(wiki: WikiServer) -> None:
    names = [r"07\. Dev.WebHome", 'Sandbox.say "so"', r"Sandbox.b\\c", "Sandbox.a:b (c) AND [d]"]
    for name in names[1:]:
        wiki.standin.add_page(name)

    with wiki.standin.counting() as seen:
        items = _many(wiki, [f"xwiki:{name}" for name in names])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query"]


def test_names_with_apostrophes_are_found_by_the_database(modern: WikiServer) -> None:
    names = [f"Sandbox.it's {number}" for number in range(3)]
    for name in names:
        modern.standin.add_page(name, indexed=False)

    with modern.standin.counting() as seen:
        items = _many(modern, [f"xwiki:{name}" for name in names])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query", "GET /query"]


def test_a_name_that_no_rest_url_can_contain_is_found_in_the_index(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.and/or", title="Slash")

    items = _many(wiki, ["xwiki:Sandbox.and/or", "xwiki:Sandbox.no/where"])

    assert _states(items) == {"Sandbox.and/or": "live", "Sandbox.no/where": "gone"}


@pytest.mark.parametrize("reference", ["junk", "", "docs:A.B", "A..B", "xwiki:A.B\n", "x" * 5000])
def test_a_malformed_reference_is_gone_and_never_sent(modern: WikiServer, reference: str) -> None:
    with modern.standin.counting() as seen:
        items = _many(modern, [reference, "xwiki:Main.WebHome"])

    assert [item.state.value for item in items.values()] == ["gone", "live"]
    assert items[reference].reference == reference
    assert len(seen) == 1


def test_unrequested_hits_are_dropped(modern: WikiServer) -> None:
    unrequested = [
        {"id": "docs:Main.WebHome", "wiki": "docs", "title": "Other"},
        {"id": "xwiki:Other.Page"},
        {"id": 7},
        None,
    ]
    modern.rewrite(lambda body: body["searchResults"].extend(unrequested), path=QUERY)

    items = _many(modern, KNOWN[:1])

    assert [item.title for item in items.values()] == ["Home"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_page_takes_precedence_over_its_translation(modern: WikiServer, reverse: bool) -> None:
    modern.standin.add_translation("Main.WebHome", "nl", title="Thuis")

    def sort(body: dict[str, Any]) -> None:
        body["searchResults"].sort(key=lambda hit: bool(hit["language"]), reverse=reverse)

    modern.rewrite(sort, path=QUERY)

    assert _many(modern, KNOWN[:1])[KNOWN[0]].title == "Home"


def test_a_page_above_the_size_limit_is_live(modern: WikiServer) -> None:
    modern.standin.add_page("Sandbox.Long", title="Long", content="x" * 6_000_000, indexed=False)

    items = _many(modern, ["xwiki:Sandbox.Long", *KNOWN])

    assert (items["xwiki:Sandbox.Long"].state, items["xwiki:Sandbox.Long"].title) == (State.LIVE, "Long")


def test_a_page_with_a_server_error_does_not_affect_the_others(modern: WikiServer) -> None:
    modern.reply(500, "NullPointerException", path=f"{REST}/spaces/Sandbox/pages/Hid")

    states = _states(_many(modern, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"]))

    assert states == {"Sandbox.Hid": "gone", "Main.WebHome": "live"}


def test_server_errors_for_all_pages_are_a_failure(modern: WikiServer) -> None:
    modern.standin.fault, modern.standin.fault_only = "server-error", lambda request: "/pages/" in request.path

    with pytest.raises(ProviderUnavailable) as caught:
        _many(modern, ["xwiki:Sandbox.Hid", "xwiki:Sandbox.Nope"])

    assert caught.value.reason is Reason.SERVER_ERROR


@pytest.mark.parametrize(
    ("fault", "reason"), [("unavailable", Reason.SERVER_ERROR), ("rate-limited", Reason.RATE_LIMITED)]
)
@pytest.mark.parametrize("part", ["/query", "/pages/"])
def test_a_failed_request_is_never_a_gone_page(modern: WikiServer, fault: str, reason: Reason, part: str) -> None:
    modern.standin.fault = fault

    def is_failing(request: Request) -> bool:
        return part in request.path

    modern.standin.fault_only = is_failing

    with pytest.raises(ProviderUnavailable) as caught:
        _many(modern, ["xwiki:Sandbox.Hid", "xwiki:Main.WebHome"])

    assert caught.value.reason is reason


def test_a_missing_list_of_results_is_not_an_empty_list(modern: WikiServer) -> None:
    modern.rewrite(dict.clear, path=QUERY)

    with pytest.raises(ProviderUnavailable, match="without searchResults"):
        _many(modern, KNOWN)


def test_a_page_is_live_again_after_view_is_granted(wiki: WikiServer) -> None:
    wiki.standin.deny_view("Sandbox.TestPage1")
    before = _many(wiki, ["xwiki:Sandbox.TestPage1"])
    wiki.standin.allow_view("Sandbox.TestPage1")

    after = _many(wiki, ["xwiki:Sandbox.TestPage1"])

    assert [*_states(before).values(), *_states(after).values()] == ["gone", "live"]
