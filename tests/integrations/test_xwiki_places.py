"""Places for new pages: searched by what is typed, shown by their titles, and nothing left out silently."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.domain import Choice, Choices
from panel.core.errors import ProviderUnavailable
from panel.integrations.xwiki.leaf import XWiki
from panel.integrations.xwiki.reference import BadReference, PageReference, from_path, path_of

wiki = wiki_fixture("legacy", "16", "18")
real = wiki_fixture("16", "18")
sixteen = wiki_fixture("16")

SMALL = {r"07\. Dev": "Seven dev", "Dev": "Dev", "Main": "Home", "Sandbox": "Sandbox", "Dev.Sub": "Dev › Sub & Co"}


def _find(wiki: WikiServer, search: str = "", chosen: str = "") -> Choices:
    values: Mapping[str, str] = {"space": chosen} if chosen else {}
    return wiki.leaf.find_choices(wiki.open(), "space", values, search=search)


def _shown(found: Choices) -> dict[str, str]:
    return {choice.value: choice.label for choice in found.items}


def _fill(wiki: WikiServer, count: int) -> None:
    """Add nested pages, each of which is a space."""
    wiki.standin.add_page("Cases.WebHome", title="All cases")
    for number in range(count):
        wiki.standin.add_page(f"Cases.Case {number:04}.WebHome", title=f"Case {number:04}")


def test_all_places_of_a_small_wiki_are_offered_by_their_titles_outermost_first(wiki: WikiServer) -> None:
    found = _find(wiki)

    assert list(_shown(found).items()) == list(SMALL.items())
    assert not found.more


@pytest.mark.parametrize("search", ["dev", "Dev", " dev "])
def test_places_are_found_by_their_names(wiki: WikiServer, search: str) -> None:
    assert _find(wiki, search).items == (
        Choice("Dev", "Dev"),
        Choice(r"07\. Dev", "Seven dev"),
        Choice("Dev.Sub", "Dev › Sub & Co"),
    )


@pytest.mark.parametrize("search", ["seven", "dev seven"])
def test_places_are_found_by_their_titles(wiki: WikiServer, search: str) -> None:
    assert r"07\. Dev" in _shown(_find(wiki, search))


@pytest.mark.parametrize("typed", ["../../etc/passwd", ".", "Outer.", "a\x00b"])
def test_a_typed_place_that_no_space_can_have_is_no_choice(wiki: WikiServer, typed: str) -> None:
    assert list(_shown(_find(wiki, chosen=typed))) == list(SMALL)


@pytest.mark.parametrize("search", ["%", "_", "d_v", "nowhere"])
def test_a_pattern_is_no_word(wiki: WikiServer, search: str) -> None:
    assert _find(wiki, search).items == ()


def test_a_large_wiki_offers_its_top_level_and_says_that_there_is_more(real: WikiServer) -> None:
    _fill(real, 150)

    with real.standin.counting() as seen:
        found = _find(real)

    assert {"Cases", "Main", "Sandbox"} <= set(_shown(found))
    assert not any(choice.value.startswith("Cases.") for choice in found.items)
    assert found.more
    assert len(seen) <= 5


def test_a_first_page_with_denied_spaces_is_not_taken_for_all(real: WikiServer) -> None:
    _fill(real, 150)
    for number in range(40):
        real.standin.deny_view(f"Cases.Case {number:04}")

    found = _find(real)

    assert found.more
    assert {"Cases", "Main", "Sandbox"} <= set(_shown(found))


def test_a_large_result_says_that_there_is_more(real: WikiServer) -> None:
    _fill(real, 150)

    found = _find(real, "case")

    assert found.more
    assert _shown(found)["Cases"] == "All cases"
    assert _shown(found)["Cases.Case 0000"] == "All cases › Case 0000"


def test_one_of_many_is_found_by_typing(real: WikiServer) -> None:
    _fill(real, 150)

    assert _find(real, "0149") == Choices((Choice("Cases.Case 0149", "All cases › Case 0149"),), 1)


def test_the_chosen_place_comes_first(real: WikiServer) -> None:
    _fill(real, 150)

    assert _find(real, chosen="Cases.Case 0149").items[0] == Choice("Cases.Case 0149", "All cases › Case 0149")
    assert [choice.value for choice in _find(real, "sand", chosen="Cases").items] == ["Sandbox"]


@pytest.mark.parametrize("title", ["A <b>bold</b> & co", "R&amp;D", "<script>x</script>"])
@pytest.mark.parametrize("has_database", [True, False])
def test_titles_of_places_are_plain_text(real: WikiServer, title: str, has_database: bool) -> None:
    if not has_database:
        real.standin.xwql_enabled = False
    real.standin.add_page("Odd.WebHome", title=title)

    assert _shown(_find(real))["Odd"] == _shown(_find(real, "odd"))["Odd"] == title


def test_without_index_and_database_places_are_shown_by_their_names(wiki: WikiServer) -> None:
    wiki.standin.query_types.clear()

    assert _shown(_find(wiki)) == {place: place.replace("\\", "").replace(".Sub", " › Sub") for place in SMALL}
    assert "Dev.Sub" in _shown(_find(wiki, "sub"))


def test_denied_places_are_not_offered(wiki: WikiServer) -> None:
    assert "Secret" not in _shown(_find(wiki))
    assert _find(wiki, "secret").items == ()


def test_a_refused_search_of_places_is_no_empty_result(sixteen: WikiServer) -> None:
    sixteen.reply(500, "Error", path=f"{REST}/search")

    with pytest.raises(ProviderUnavailable):
        _find(sixteen, "dev")


def test_a_hanging_index_leaves_places_to_be_found(sixteen: WikiServer) -> None:
    sixteen.standin.xwql_enabled = False
    sixteen.standin.hang_index(3)

    found = sixteen.leaf.find_choices(sixteen.open(deadline_s=3), "space", {}, search="sub")

    assert _shown(found) == {"Dev.Sub": "Dev › Sub"}


def test_a_typed_search_takes_few_requests(real: WikiServer) -> None:
    _find(real, "dev")

    with real.standin.counting() as seen:
        real.leaf.find_choices(real.open(), "space", {}, search="dev")

    assert paths(seen)[0] == "GET /search"
    assert len(seen) <= 4


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("xwiki:Sandbox.Notes.WebHome", {"space": "Sandbox"}),
        ("xwiki:Sandbox.Notes", {"space": "Sandbox"}),
        (r"xwiki:07\. Dev.Sub.WebHome", {"space": r"07\. Dev"}),
        ("xwiki:Main.WebHome", {}),
        ("junk", {}),
    ],
)
def test_the_place_of_a_linked_page_is_known_without_a_request(reference: str, place: dict[str, str]) -> None:
    assert XWiki().values_beside(reference) == place


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("xwiki:Sandbox.Created one.WebHome", "Sandbox › Created one"),
        ("xwiki:Main.WebHome", "› Main"),
        (r"xwiki:07\. Dev.WebHome", "› 07. Dev"),
        (r"xwiki:07\. Dev.v1\.2", "07. Dev · v1.2"),
        ("xwiki:A.B.Page", "A › B · Page"),
        ("xwiki:A › B.Page.WebHome", "xwiki:A › B.Page.WebHome"),
        ("xwiki:A.two  blanks", "xwiki:A.two  blanks"),
        ("junk", "junk"),
    ],
)
def test_a_reference_is_shown_without_escapes_and_home_pages(reference: str, shown: str) -> None:
    assert XWiki().shown_reference(reference) == shown


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3), st.text(min_size=1, max_size=8))
def test_what_is_shown_leads_back_to_the_reference(spaces: list[str], name: str) -> None:
    try:
        page = PageReference("xwiki", tuple(spaces), name)
    except BadReference:
        return

    for one in (page, page.nested):
        shown = path_of(one)
        assert "WebHome" not in shown or shown == str(one)
        assert (from_path(shown, "xwiki") or PageReference.parse(shown)) == one


# --- browsing --------------------------------------------------------------------------------------------------------


def _browse(wiki: WikiServer, within: str) -> tuple[list[str], dict[str, str], bool]:
    branch = wiki.leaf.branch(wiki.open(), "space", within)
    return [choice.label for choice in branch.trail], _shown(branch.choices), branch.choices.more


def test_the_top_level_is_browsed_first(wiki: WikiServer) -> None:
    trail, shown, more = _browse(wiki, "")

    assert (trail, more) == ([], False)
    assert list(shown) == [r"07\. Dev", "Dev", "Main", "Sandbox"]


def test_a_place_is_shown_with_the_places_directly_below_it(wiki: WikiServer) -> None:
    _fill(wiki, 2)
    wiki.standin.add_page("Cases.Case 0001.Annex.WebHome", title="Annex")

    assert _browse(wiki, "Cases") == (
        ["All cases"],
        {"Cases": "All cases", "Cases.Case 0000": "All cases › Case 0000", "Cases.Case 0001": "All cases › Case 0001"},
        False,
    )
    assert _browse(wiki, "Cases.Case 0001")[0] == ["All cases", "Case 0001"]
    assert list(_browse(wiki, "Cases.Case 0001")[1]) == ["Cases.Case 0001", "Cases.Case 0001.Annex"]


def test_browsing_a_large_place_says_that_there_is_more(real: WikiServer) -> None:
    _fill(real, 150)

    with real.standin.counting() as seen:
        trail, shown, more = _browse(real, "Cases")

    assert (trail, len(shown), more) == (["All cases"], 50, True)
    assert len(seen) <= 4


def test_a_deep_place_shows_what_is_directly_below(real: WikiServer) -> None:
    _fill(real, 3)
    for number in range(150):
        real.standin.add_page(f"Cases.Case 0000.Part {number:03}.WebHome")

    _trail, shown, more = _browse(real, "Cases")

    assert list(shown) == ["Cases", "Cases.Case 0000", "Cases.Case 0001", "Cases.Case 0002"]
    assert more
    assert len(_browse(real, "Cases.Case 0000")[1]) == 50


@pytest.mark.parametrize("within", ["..", "a..b", "\x00", "."])
def test_what_no_place_can_be_called_is_the_top_level(wiki: WikiServer, within: str) -> None:
    assert _browse(wiki, within)[0] == []
