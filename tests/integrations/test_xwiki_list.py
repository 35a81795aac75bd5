"""Fetching many pages: few requests, a result for every reference, and no effect of one bad row on the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from werkzeug.wrappers import Request
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.connector import Upstream
from panel.core.domain import Item, State
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.xwiki import lookup

wiki = wiki_fixture("legacy", "16", "18")
modern = wiki_fixture("16")
solr_only = wiki_fixture("18")

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


def _has_database(wiki: WikiServer) -> bool:
    return wiki.standin.xwql_enabled


def _count(wiki: WikiServer, upstream: Upstream, references: Sequence[str]) -> tuple[dict[str, Item], list[str]]:
    """The items of a list, and the requests that it took."""
    with wiki.standin.counting() as seen:
        items = dict(wiki.leaf.fetch_many(upstream, references))
    return items, paths(seen)


def test_fifty_new_pages_take_at_most_two_requests(wiki: WikiServer) -> None:
    references, source = _add_pages(wiki, 49), wiki.source()
    wiki.standin.add_page("Sandbox.it's new", title="About Sandbox.it's new")
    references.append("xwiki:Sandbox.it's new")

    lists = [_count(wiki, wiki.open(source), references) for _ in range(3)]

    for items, _ in lists:
        assert [item.title for item in items.values()] == [f"About {one.removeprefix('xwiki:')}" for one in references]
    # The first list learns whether the database may be asked.
    first = 1 if _has_database(wiki) else 2
    assert [requests for _, requests in lists] == [["GET /query"] * first, ["GET /query"], ["GET /query"]]


def test_new_pages_are_in_the_index_by_their_name(modern: WikiServer) -> None:
    """The field ``reference`` of a page that was saved once ends in a semicolon there."""
    modern.standin.xwql_enabled = False
    references, source = _add_pages(modern, 50), modern.source()

    lists = [_count(modern, modern.open(source), references) for _ in range(2)]

    assert {item.state for items, _ in lists for item in items.values()} == {State.LIVE}
    assert [requests for _, requests in lists] == [["GET /query"] * 2, ["GET /query"]]


def test_dead_links_are_not_requested_again_by_each_list(wiki: WikiServer) -> None:
    references, source = _add_pages(wiki, 50), wiki.source()
    for reference in references[::5]:
        wiki.standin.remove_page(reference)
    wiki.standin.index()

    lists = [_count(wiki, wiki.open(source), references) for _ in range(3)]

    for items, _ in lists:
        assert [reference for reference, item in items.items() if item.state is State.GONE] == references[::5]
    assert [len(requests) for _, requests in lists] == ([1, 1, 1] if _has_database(wiki) else [12, 1, 1])


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
    items, requests = _count(wiki, wiki.open(), ["xwiki:Sandbox.Hid", *KNOWN])

    assert items["xwiki:Sandbox.Hid"].title == "Hidden test"
    if not _has_database(wiki):
        page = "GET /spaces/Sandbox/pages/Hid"
        redirect = f"{page}/objects/XWiki.RedirectClass/0/properties/location"
        assert requests == ["GET /query", "GET /query", page, redirect]


def test_pages_that_are_not_indexed_yet_come_from_the_database(modern: WikiServer) -> None:
    references = _add_pages(modern, 5, indexed=False)

    items, requests = _count(modern, modern.open(), references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert requests == ["GET /query"]


def test_without_database_queries_unindexed_pages_are_fetched_one_by_one(solr_only: WikiServer) -> None:
    references = _add_pages(solr_only, 5, indexed=False)

    with solr_only.standin.counting() as seen:
        items = _many(solr_only, references)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert sorted(paths(seen)) == [
        "GET /query",
        "GET /query",
        *(f"GET /spaces/Sandbox/pages/Many{n}" for n in range(5)),
    ]


def test_a_page_that_the_database_does_not_show_is_gone_without_a_request(modern: WikiServer) -> None:
    references = ["xwiki:Sandbox.Nope", "xwiki:Secret.WebHome", *KNOWN[2:], "xwiki:Sandbox.Hid"]

    items, requests = _count(modern, modern.open(), references)

    assert [item.state.value for item in items.values()] == ["gone", "gone", "live", "live", "live"]
    assert requests == ["GET /query"]


def _fail(wiki: WikiServer, is_failing: Callable[[Request], bool]) -> None:
    wiki.standin.fault, wiki.standin.fault_only = "server-error", is_failing


def test_a_failing_chunk_does_not_close_the_database(modern: WikiServer) -> None:
    source, bad = modern.source(), [f"xwiki:Sandbox.Bad{number}" for number in range(3)]
    good = _add_pages(modern, 3, indexed=False)
    _fail(modern, lambda request: request.args.get("type") == "hql" and "Bad" in request.args["q"])

    failed, _ = _count(modern, modern.open(source), bad)
    items, requests = _count(modern, modern.open(source), good)

    assert {item.state for item in failed.values()} == {State.GONE}
    assert {item.state for item in items.values()} == {State.LIVE}
    assert requests == ["GET /query"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_database_that_refuses_queries_is_not_asked_again_for_a_while(modern: WikiServer, status: int) -> None:
    source, references = modern.source(), _add_pages(modern, 5)
    if status == 400:
        modern.standin.xwql_enabled = False
    else:
        _fail(modern, lambda request: request.args.get("type") == "hql")

    lists = [_count(modern, modern.open(source), references) for _ in range(2)]

    assert all(item.state is State.LIVE for items, _ in lists for item in items.values())
    assert [len(requests) for _, requests in lists] == [2 if status == 400 else 3, 1]


def test_one_or_two_pages_are_requested_by_themselves(wiki: WikiServer) -> None:
    items, requests = _count(wiki, wiki.open(), KNOWN[:2])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert sorted(requests) == ["GET /spaces/07.%20Dev/pages/WebHome", "GET /spaces/Main/pages/WebHome"]


@pytest.mark.parametrize("remaining", [0, 2])
def test_a_translation_is_no_proof_of_its_page(wiki: WikiServer, remaining: int) -> None:
    references = _add_pages(wiki, 4)
    wiki.standin.add_translation(references[0], "nl", title="Vertaald")
    wiki.standin.remove_page(references[0])
    wiki.standin.index()

    items = _many(wiki, [references[0], *references[1 : 1 + remaining]])

    assert [item.state.value for item in items.values()] == ["gone", *["live"] * remaining]


# --- what was gone, and what the index still shows -------------------------------------------------------------------


def test_what_was_gone_a_moment_ago_is_requested_again_after_a_while(
    solr_only: WikiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, references = solr_only.source(), [f"xwiki:Sandbox.Nope{number}" for number in range(6)]

    counts = [len(_count(solr_only, solr_only.open(source), references)[1]) for _ in range(2)]
    monkeypatch.setattr(lookup, "GONE_S", 0.0)
    later = [_count(solr_only, solr_only.open(source), references)[1] for _ in range(3)]

    assert counts == [8, 1]
    assert [len(requests) for requests in later] == [3, 3, 3]
    assert len({request for requests in later for request in requests}) == 7


def test_a_fresh_list_requests_what_was_gone(solr_only: WikiServer) -> None:
    source, references = solr_only.source(), ["xwiki:Sandbox.Later", *KNOWN]
    before = _count(solr_only, solr_only.open(source), references)[0]
    solr_only.standin.add_page("Sandbox.Later", indexed=False)

    still = _count(solr_only, solr_only.open(source), references)[0]
    after = _count(solr_only, solr_only.open(source, fresh=True), references)[0]

    assert [items[references[0]].state.value for items in (before, still, after)] == ["gone", "gone", "live"]


def test_a_page_that_returns_is_live_as_soon_as_the_index_shows_it(solr_only: WikiServer) -> None:
    source, references = solr_only.source(), ["xwiki:Sandbox.Later", *KNOWN]
    _count(solr_only, solr_only.open(source), references)
    solr_only.standin.add_page("Sandbox.Later")

    assert _count(solr_only, solr_only.open(source), references)[0][references[0]].state is State.LIVE


def test_a_page_that_was_linked_is_not_remembered_as_gone(solr_only: WikiServer) -> None:
    source, references = solr_only.source(), ["xwiki:Sandbox.Later", *KNOWN]
    _count(solr_only, solr_only.open(source), references)
    solr_only.standin.add_page("Sandbox.Later", indexed=False)

    solr_only.leaf.resolve(solr_only.open(source), references[0])

    assert _count(solr_only, solr_only.open(source), references)[0][references[0]].state is State.LIVE


@pytest.mark.parametrize("way", ["delete", "rename"])
def test_a_page_does_not_stay_live_because_the_index_is_late(
    wiki: WikiServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    source, references = wiki.source(), _add_pages(wiki, 5)
    _count(wiki, wiki.open(source), references)
    if way == "delete":
        wiki.standin.remove_page(references[4])
    else:
        wiki.standin.rename_page(references[4], "Sandbox.Elsewhere")

    if not _has_database(wiki):
        monkeypatch.setattr(lookup, "INDEX_TRUSTED_S", 0.0)
    items, _ = _count(wiki, wiki.open(source), references)

    assert [item.state.value for item in items.values()] == ["live"] * 4 + ["gone"]


def test_a_list_requests_a_few_pages_again_and_all_once_the_index_is_late(
    solr_only: WikiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, references = solr_only.source(), _add_pages(solr_only, 30)
    _count(solr_only, solr_only.open(source), references)
    monkeypatch.setattr(lookup, "INDEX_TRUSTED_S", 0.0)

    on_time = len(_count(solr_only, solr_only.open(source), references)[1])
    for reference in references[8:12]:
        solr_only.standin.remove_page(reference)
    late, requests = _count(solr_only, solr_only.open(source), references)

    assert on_time == 1 + 8
    assert len(requests) == 1 + 30
    assert [reference for reference, item in late.items() if item.state is State.GONE] == references[8:12]


def test_a_fresh_list_does_not_trust_the_index(solr_only: WikiServer) -> None:
    source, references = solr_only.source(), _add_pages(solr_only, 20)
    _count(solr_only, solr_only.open(source), references)
    solr_only.standin.remove_page(references[19])

    items, _ = _count(solr_only, solr_only.open(source, fresh=True), references)

    assert [reference for reference, item in items.items() if item.state is State.GONE] == references[19:]


def test_a_page_that_cannot_be_checked_stays_as_the_index_shows_it(
    solr_only: WikiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, references = solr_only.source(), _add_pages(solr_only, 5)
    _count(solr_only, solr_only.open(source), references)
    monkeypatch.setattr(lookup, "INDEX_TRUSTED_S", 0.0)
    solr_only.standin.fault, solr_only.standin.fault_only = "unavailable", lambda request: "/pages/" in request.path

    items, _ = _count(solr_only, solr_only.open(source), references)

    assert {item.state for item in items.values()} == {State.LIVE}


@pytest.mark.parametrize("database", [True, False])
def test_a_hanging_index_costs_a_list_its_share_of_the_time_once(modern: WikiServer, database: bool) -> None:
    modern.standin.xwql_enabled = database
    source, references = modern.source(), [*_add_pages(modern, 10), "xwiki:Sandbox.Nope", r"xwiki:07\. Dev.WebHome"]
    modern.standin.hang_index(3)

    took = []
    for _ in range(4):
        started = time.monotonic()
        items = modern.leaf.fetch_many(modern.open(source, deadline_s=2), references)
        took.append(time.monotonic() - started)
        assert [item.state.value for item in items.values()] == ["live"] * 10 + ["gone", "live"]

    assert took[0] < 1.5
    assert max(took[1:]) < 0.4


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

    # A page that is in no index, with a backslash in its name, is only seen where the server accepts it in an address.
    last = "live" if wiki.standin.profile.serves_slashes else "gone"
    assert [item.state.value for item in items.values()] == ["live", "live", "live", last, "gone"]
    assert items[f"xwiki:{names[0]}"].title == names[0]


def test_names_with_query_syntax_are_found_by_the_index(wiki: WikiServer) -> None:
    names = [r"07\. Dev.WebHome", 'Sandbox.say "so"', r"Sandbox.b\\c", "Sandbox.a:b (c) AND [d]"]
    for name in names[1:]:
        wiki.standin.add_page(name)

    with wiki.standin.counting() as seen:
        items = _many(wiki, [f"xwiki:{name}" for name in names])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert paths(seen) == ["GET /query", "GET /query"]


def test_names_with_apostrophes_are_found_by_the_database(modern: WikiServer) -> None:
    names = [f"Sandbox.it's {number}" for number in range(3)]
    for name in names:
        modern.standin.add_page(name, indexed=False)

    items, requests = _count(modern, modern.open(), [f"xwiki:{name}" for name in names])

    assert {item.state for item in items.values()} == {State.LIVE}
    assert requests == ["GET /query"]


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
@pytest.mark.parametrize("count", [2, 4])
def test_a_failed_request_is_never_a_gone_page(solr_only: WikiServer, fault: str, reason: Reason, count: int) -> None:
    solr_only.standin.fault, solr_only.standin.fault_only = fault, lambda request: "/pages/" in request.path

    with pytest.raises(ProviderUnavailable) as caught:
        _many(solr_only, ["xwiki:Sandbox.Hid", *KNOWN][:count])

    assert caught.value.reason is reason


@pytest.mark.parametrize("fault", ["unavailable", "rate-limited", "empty-object", "login-page", "broken-json"])
def test_a_list_is_right_without_queries(wiki: WikiServer, fault: str) -> None:
    wiki.standin.fault, wiki.standin.fault_only = fault, lambda request: request.path.endswith("/query")

    items = _many(wiki, [*KNOWN, "xwiki:Sandbox.Hid", "xwiki:Sandbox.Nope"])

    assert [item.state.value for item in items.values()] == ["live"] * 5 + ["gone"]


def test_a_page_is_live_again_after_view_is_granted(wiki: WikiServer) -> None:
    wiki.standin.deny_view("Sandbox.TestPage1")
    before = _many(wiki, ["xwiki:Sandbox.TestPage1"])
    wiki.standin.allow_view("Sandbox.TestPage1")

    after = _many(wiki, ["xwiki:Sandbox.TestPage1"])

    assert [*_states(before).values(), *_states(after).values()] == ["gone", "live"]
