"""Pages that were renamed, moved or copied: found where they are now, and nothing else is taken for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.connector import SourceConfig
from panel.core.domain import Item, State
from panel.core.errors import NotFound

wiki = wiki_fixture("16", "18")
one_wiki = wiki_fixture("18")

MADE = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
QUERY = f"{REST}/query"
OLD, NEW = "xwiki:Sandbox.Draft", "xwiki:Sandbox.Permit"


def _made(
    wiki: WikiServer, name: str = "Draft", *, maker: str = "bob", after: int = 0, version: str = "1.1"
) -> int:  # fmt: skip
    """Add a page and return its origin, as linking it stores it."""
    reference = f"Sandbox.{name}"
    created = MADE + timedelta(seconds=after)
    wiki.standin.add_page(reference, title=f"About {name}", author=f"XWiki.{maker}", created=created, version=version)
    origin = wiki.leaf.resolve(wiki.open(), reference).origin
    assert origin is not None
    return origin


def _move(wiki: WikiServer, old: str, new: str, *, redirect: bool = False) -> None:
    wiki.standin.rename_page(f"Sandbox.{old}", f"Sandbox.{new}", redirect=redirect)
    wiki.standin.index()


def _redirect(wiki: WikiServer, page: str, location: str) -> None:
    """Give a page a redirect, as a rename or a person does."""
    path = ("rest", "wikis", "xwiki", "spaces", "Sandbox", "pages", page, "objects")
    given = f'<className>XWiki.RedirectClass</className><property name="location"><value>{location}</value></property>'
    body = f'<object xmlns="http://www.xwiki.org">{given}</object>'.encode()
    wiki.open().send("POST", *path, body=body, content_type="application/xml")


def _seen(
    wiki: WikiServer, origins: dict[str, int | None], source: SourceConfig | None = None, *, fresh: bool = False
) -> dict[str, Item]:
    """The linked pages as a list shows them, with ``fresh`` after a click on Refresh."""
    upstream = wiki.open(source)
    upstream.fresh = fresh
    items = dict(wiki.leaf.fetch_many(upstream, list(origins)))
    absent = [item for item in items.values() if item.state is not State.LIVE]
    known = {reference: origin for reference, origin in origins.items() if origin is not None}
    return {**items, **wiki.leaf.locate(upstream, absent, known)}


def _places(item: Item) -> list[str]:
    return [place.reference for place in item.moved_to]


def test_an_origin_is_the_second_of_making_and_a_number_for_the_maker(wiki: WikiServer) -> None:
    bobs, carols = _made(wiki), _made(wiki, "Other", maker="carol")

    assert [origin // 1000 for origin in (bobs, carols)] == [int(MADE.timestamp())] * 2
    assert bobs != carols


def test_a_renamed_page_without_a_redirect_is_found_by_its_making(wiki: WikiServer) -> None:
    origin = _made(wiki)
    _move(wiki, "Draft", "Permit")

    item = _seen(wiki, {OLD: origin})[OLD]

    assert (item.state, item.reference, item.title, _places(item)) == (State.MOVED, OLD, "About Draft", [NEW])
    assert item.url == f"{wiki.root}/bin/view/Sandbox/Permit"
    assert wiki.leaf.row(item)["page"] == "Permit"


@pytest.mark.parametrize("knows_origin", [True, False])
def test_a_renamed_page_with_a_redirect_is_moved_and_never_live(wiki: WikiServer, knows_origin: bool) -> None:
    origin = _made(wiki)
    _move(wiki, "Draft", "Permit", redirect=True)

    item = _seen(wiki, {OLD: origin if knows_origin else None})[OLD]

    assert (item.state, item.title, _places(item)) == (State.MOVED, "About Draft", [NEW])


@pytest.mark.parametrize("redirects", [(False, False), (True, True), (True, False), (False, True)])
def test_a_page_that_was_renamed_twice_is_found_at_its_last_place(
    wiki: WikiServer, redirects: tuple[bool, bool]
) -> None:
    origin = _made(wiki)
    _move(wiki, "Draft", "Between", redirect=redirects[0])
    _move(wiki, "Between", "Permit", redirect=redirects[1])

    seen = _seen(wiki, {OLD: origin, "xwiki:Sandbox.Between": origin})

    assert {reference: _places(item) for reference, item in seen.items()} == {
        OLD: [NEW],
        "xwiki:Sandbox.Between": [NEW],
    }


def test_a_chain_of_redirects_is_followed_without_an_origin(wiki: WikiServer) -> None:
    _made(wiki)
    _move(wiki, "Draft", "Between", redirect=True)
    _move(wiki, "Between", "Permit", redirect=True)

    assert _places(_seen(wiki, {OLD: None})[OLD]) == [NEW]


def test_redirects_in_a_circle_end(wiki: WikiServer) -> None:
    for here, there in (("Draft", "Permit"), ("Permit", "Draft")):
        wiki.standin.add_page(f"Sandbox.{here}", hidden=True)
        _redirect(wiki, here, f"xwiki:Sandbox.{there}")

    with wiki.standin.counting() as seen:
        item = _seen(wiki, {OLD: None})[OLD]

    assert item.state is State.GONE
    assert len(seen) < 20


@pytest.mark.parametrize("location", ["docs:Sandbox.Permit", "nowhere", "", "https://www.example.org/"])
def test_a_redirect_out_of_the_wiki_is_gone(one_wiki: WikiServer, location: str) -> None:
    one_wiki.standin.add_page("Sandbox.Draft", hidden=True)
    _redirect(one_wiki, "Draft", location)

    assert _seen(one_wiki, {OLD: None})[OLD].state is State.GONE


def test_a_copy_is_not_taken_for_a_page_that_was_deleted(wiki: WikiServer) -> None:
    origin = _made(wiki)
    wiki.standin.copy_page("Sandbox.Draft", "Sandbox.Copy")
    wiki.standin.remove_page("Sandbox.Draft")
    wiki.standin.index()

    assert _seen(wiki, {OLD: origin})[OLD].state is State.GONE


def test_a_translation_of_the_same_second_is_not_taken_for_a_page(wiki: WikiServer) -> None:
    origin = _made(wiki)
    wiki.standin.add_translation("Sandbox.TestPage1", "nl", title="Proefpagina", created=MADE)
    wiki.standin.remove_page("Sandbox.Draft")
    wiki.standin.index()

    assert _seen(wiki, {OLD: origin})[OLD].state is State.GONE


def test_an_index_that_is_late_gives_no_place(wiki: WikiServer) -> None:
    origin = _made(wiki)
    wiki.standin.rename_page("Sandbox.Draft", "Sandbox.Permit")

    assert wiki.leaf.locate(wiki.open(), [Item.gone(OLD, "")], {OLD: origin}) == {}


def test_a_page_of_the_same_second_by_another_maker_is_not_offered(wiki: WikiServer) -> None:
    origin = _made(wiki)
    _made(wiki, "Neighbour", maker="carol", version="2.1")
    _move(wiki, "Draft", "Permit")

    assert _places(_seen(wiki, {OLD: origin})[OLD]) == [NEW]


def test_several_pages_of_the_same_second_and_maker_are_offered(wiki: WikiServer) -> None:
    origin = _made(wiki)
    _made(wiki, "Sibling", version="2.1")
    wiki.standin.rename_page("Sandbox.Draft", "Dev.Draft")
    wiki.standin.index()

    item = _seen(wiki, {OLD: origin})[OLD]

    assert (item.state, item.title, item.url) == (
        State.MOVED, "Sandbox.Draft", f"{wiki.root}/bin/view/Sandbox/Draft",
    )  # fmt: skip
    assert _places(item) == ["xwiki:Dev.Draft", "xwiki:Sandbox.Sibling"]


def test_a_page_of_the_same_second_that_was_never_renamed_is_not_offered(wiki: WikiServer) -> None:
    origin = _made(wiki)
    for number in range(5):
        _made(wiki, f"Imported{number}")
    _move(wiki, "Draft", "Permit")

    assert _places(_seen(wiki, {OLD: origin})[OLD]) == [NEW]


def test_a_deleted_page_is_not_taken_for_one_that_was_imported_with_it(wiki: WikiServer) -> None:
    origin = _made(wiki)
    _made(wiki, "Imported")
    wiki.standin.remove_page("Sandbox.Draft")
    wiki.standin.index()

    assert _seen(wiki, {OLD: origin})[OLD].state is State.GONE


def test_at_most_ten_pages_are_offered(one_wiki: WikiServer) -> None:
    origin = _made(one_wiki)
    for number in range(15):
        _made(one_wiki, f"Imported{number}", version="4.2")
    one_wiki.standin.rename_page("Sandbox.Draft", "Dev.Draft")
    one_wiki.standin.index()

    places = _places(_seen(one_wiki, {OLD: origin})[OLD])

    assert (places[0], len(places)) == ("xwiki:Dev.Draft", 10)


def test_a_page_that_the_account_may_not_view_is_gone(wiki: WikiServer) -> None:
    origin = _made(wiki)
    wiki.standin.rename_page("Sandbox.Draft", "Secret.Draft")
    wiki.standin.index()

    assert _seen(wiki, {OLD: origin})[OLD].state is State.GONE


def test_a_redirect_to_a_page_that_is_not_shown_is_gone(wiki: WikiServer) -> None:
    _made(wiki)
    wiki.standin.rename_page("Sandbox.Draft", "Secret.Draft", redirect=True)
    wiki.standin.index()

    assert _seen(wiki, {OLD: None})[OLD].state is State.GONE


def test_deleted_pages_take_one_query_together(one_wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {}
    for number in range(30):
        origins[f"xwiki:Sandbox.Page{number}"] = _made(one_wiki, f"Page{number}", after=number)
        one_wiki.standin.remove_page(f"Sandbox.Page{number}")
    one_wiki.standin.index()
    items = one_wiki.leaf.fetch_many(one_wiki.open(), list(origins))

    with one_wiki.standin.counting() as seen:
        found = one_wiki.leaf.locate(one_wiki.open(), list(items.values()), origins)  # type: ignore[arg-type]

    assert found == {}
    assert paths(seen) == ["GET /query"]


def test_deleted_pages_cost_lists_one_query_a_minute(wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {}
    for number in range(50):
        origins[f"xwiki:Sandbox.Page{number}"] = _made(wiki, f"Page{number}", after=number)
    source, asked = wiki.source(), []
    for deleted in (0, 10, 0):
        for number in range(deleted):
            wiki.standin.remove_page(f"Sandbox.Page{number}")
        wiki.standin.index()
        with wiki.standin.counting() as seen:
            items = _seen(wiki, origins, source)
        asked.append([one for one in seen if one.path.endswith("/query")])

    assert [item.state.value for item in items.values()] == ["gone"] * 10 + ["live"] * 40
    assert [sum("creationdate" in one.query for one in list_) for list_ in asked] == [0, 1, 0]
    assert max(map(len, asked)) <= 3


def test_the_pages_of_a_moved_space_take_a_few_queries_together(one_wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {}
    for number in range(30):
        one_wiki.standin.add_page(f"Old.Page{number}", created=MADE + timedelta(seconds=number))
        origins[f"xwiki:Old.Page{number}"] = one_wiki.leaf.resolve(one_wiki.open(), f"Old.Page{number}").origin
    one_wiki.standin.move_space("Old", "New")
    one_wiki.standin.index()
    items = one_wiki.leaf.fetch_many(one_wiki.open(), list(origins))

    with one_wiki.standin.counting() as seen:
        found = one_wiki.leaf.locate(one_wiki.open(), list(items.values()), origins)  # type: ignore[arg-type]

    assert {one.removeprefix("xwiki:"): _places(item) for one, item in found.items()} == {
        f"Old.Page{number}": [f"xwiki:New.Page{number}"] for number in range(30)
    }
    assert len(seen) <= 6


def test_what_was_looked_for_is_not_looked_for_by_the_next_list(wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {OLD: _made(wiki), "xwiki:Sandbox.Hid": None}
    _move(wiki, "Draft", "Permit", redirect=True)
    source = wiki.source()
    first = _seen(wiki, origins, source)

    with wiki.standin.counting() as seen:
        assert _seen(wiki, origins, source) == first

    assert not [one for one in seen if "RedirectClass" in one.path or "creationdate" in one.query]


def test_a_refresh_looks_again_and_the_next_list_knows_what_it_found(wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {OLD: _made(wiki)}
    wiki.standin.remove_page("Sandbox.Draft")
    wiki.standin.index()
    source = wiki.source()
    before = _seen(wiki, origins, source)[OLD]
    wiki.standin.restore_page("Sandbox.Draft")
    _move(wiki, "Draft", "Permit")

    still, fresh, after = (_seen(wiki, origins, source, fresh=fresh)[OLD] for fresh in (False, True, False))

    assert [item.state.value for item in (before, still, fresh, after)] == ["gone", "gone", "moved", "moved"]


def test_a_list_is_right_when_moved_pages_cannot_be_looked_for(wiki: WikiServer) -> None:
    origins: dict[str, int | None] = {OLD: _made(wiki), "xwiki:Main.WebHome": None}
    _move(wiki, "Draft", "Permit")
    wiki.reply(500, "Error performing solr search", path=QUERY)

    assert [item.state.value for item in _seen(wiki, origins).values()] == ["gone", "live"]


def test_a_hidden_page_that_does_not_redirect_stays_live(wiki: WikiServer) -> None:
    item = _seen(wiki, {"xwiki:Sandbox.Hid": None})["xwiki:Sandbox.Hid"]

    assert (item.state, item.title) == (State.LIVE, "Hidden test")


def test_redirects_among_many_pages_are_recognised_in_their_queries(wiki: WikiServer) -> None:
    names = [f"Page{number}" for number in range(6)]
    for name in names:
        _made(wiki, name)
        wiki.standin.rename_page(f"Sandbox.{name}", f"Dev.{name}", redirect=True)
    wiki.standin.index()

    seen = _seen(wiki, {f"xwiki:Sandbox.{name}": None for name in names})

    assert [_places(item) for item in seen.values()] == [[f"xwiki:Dev.{name}"] for name in names]


# --- one page -----------------------------------------------------------------------------------------------------


@pytest.fixture
def redirected(wiki: WikiServer) -> WikiServer:
    _made(wiki)
    _move(wiki, "Draft", "Between", redirect=True)
    _move(wiki, "Between", "Permit", redirect=True)
    return wiki


def test_a_page_that_only_redirects_is_moved_when_it_is_read_by_itself(redirected: WikiServer) -> None:
    item = redirected.leaf.fetch(redirected.open(), OLD, with_excerpt=True)

    assert (item.state, item.reference, item.origin) == (State.MOVED, OLD, None)


def test_pasting_the_address_of_a_redirect_gives_the_page_it_leads_to(redirected: WikiServer) -> None:
    item = redirected.leaf.resolve(redirected.open(), f"{redirected.root}/bin/view/Sandbox/Draft")

    assert (item.reference, item.state, item.title) == (NEW, State.LIVE, "About Draft")


def test_a_redirect_that_leads_nowhere_is_not_found(redirected: WikiServer) -> None:
    redirected.standin.remove_page("Sandbox.Permit")

    with pytest.raises(NotFound, match="only redirects"):
        redirected.leaf.resolve(redirected.open(), "Sandbox.Draft")
