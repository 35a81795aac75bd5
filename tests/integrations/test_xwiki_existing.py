"""A page that exists already is found before a create, and the name of a page can differ from its title."""

from __future__ import annotations

import pytest
from xwiki_wiki import WikiServer, paths, wiki_fixture

from panel.core.errors import AlreadyExists, InvalidInput

wiki = wiki_fixture("16", "18")


def existing(wiki: WikiServer, **values: str) -> str | None:
    found = wiki.leaf.find_existing(wiki.open(), {"space": "Sandbox", "title": "Hearing", **values})
    return found.reference if found is not None else None


@pytest.mark.parametrize("page", ["Sandbox.Hearing.WebHome", "Sandbox.Hearing"])
def test_a_page_of_the_name_is_found_nested_or_not(wiki: WikiServer, page: str) -> None:
    wiki.standin.add_page(page, title="The hearing")

    assert existing(wiki) == f"xwiki:{page}"
    assert existing(wiki, title="Another title", name="Hearing") == f"xwiki:{page}"
    assert existing(wiki, name="Hearing 2") is None
    assert existing(wiki, space="Elsewhere") is None


@pytest.mark.parametrize("values", [{"space": ""}, {"title": " "}, {"title": "$services.run"}, {"name": "."}])
def test_an_incomplete_form_asks_nothing(wiki: WikiServer, values: dict[str, str]) -> None:
    with wiki.standin.counting() as seen:
        assert existing(wiki, **values) is None

    assert paths(seen) == []


def test_a_page_gets_the_name_that_was_written(wiki: WikiServer) -> None:
    made = wiki.leaf.create(wiki.open(), {"space": "Sandbox", "title": "Notes of the hearing", "name": "Hearing"})

    assert made.reference == "xwiki:Sandbox.Hearing.WebHome"
    assert wiki.standin.page("Sandbox.Hearing.WebHome").title == "Notes of the hearing"
    with pytest.raises(AlreadyExists):
        wiki.leaf.create(wiki.open(), {"space": "Sandbox", "title": "Hearing"})


def test_a_name_that_is_too_long_is_refused(wiki: WikiServer) -> None:
    with pytest.raises(InvalidInput, match=r"^A name has at most 255 characters\.$"):
        wiki.leaf.create(wiki.open(), {"space": "Sandbox", "title": "Notes", "name": "x" * 256})
