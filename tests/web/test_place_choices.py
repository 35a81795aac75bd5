"""The places for a new page are the same in the form, in JSON and over MCP."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Served
from support import CASE_PATH, Upstreams, signed_in_client
from tab_reader import get, leaf

CHOICES = "/api/integrations/xwiki/choices?field=space"
OBJECT = "&register=demo&schema=case&objectId=1"


@pytest.fixture(params=["16", "18"])
def large(request: pytest.FixtureRequest, upstreams: Upstreams, served: Served) -> Served:
    """A panel on a wiki with more spaces than its list shows at once."""
    upstreams.xwiki.behave_like(request.param)
    upstreams.xwiki.add_page("Cases.WebHome", title="All <b>cases</b> & co")
    for number in range(130):
        upstreams.xwiki.add_page(f"Cases.Case {number:03}.WebHome", title=f"R&amp;D {number:03}")
    return served


def _json(served: Served, query: str = "") -> dict[str, Any]:
    answer = served.app.test_client().get(CHOICES + OBJECT + query, headers=served.bearer())
    assert answer.status_code == 200
    return dict(answer.json)


def _in_form(served: Served) -> list[dict[str, str]]:
    form = get(signed_in_client(served.app, "maker", "editor"), leaf("xwiki", "/new"))
    options = [option for option in form.all("#new-space option") if option.attributes["value"]]
    return [{"value": str(option.attributes["value"]), "label": option.text()} for option in options]


@pytest.mark.parametrize("search", ["", "case 007", "rd 077", "nowhere"])
def test_json_and_mcp_offer_the_same(large: Served, search: str) -> None:
    over_json = _json(large, f"&search={search}")

    with large.agent() as agent:
        assert agent.body("choices", "xwiki", filters={"field": "space", "search": search}) == over_json


def test_the_form_offers_the_same_and_says_that_there_is_more(large: Served) -> None:
    over_json = _json(large)

    assert _in_form(large) == over_json["items"]
    assert over_json["more"]
    assert {"value": "Cases", "label": "All <b>cases</b> & co"} in over_json["items"]
    form = get(signed_in_client(large.app, "reader", "editor"), leaf("xwiki", "/new"))
    assert "Type to search all." in form.text


def test_a_search_finds_a_place_by_name_or_title(large: Served) -> None:
    found = {"value": "Cases.Case 077", "label": "All <b>cases</b> & co › R&amp;D 077"}

    assert _json(large, "&search=case 077") == {"items": [found], "total": 1, "more": False}
    assert found in _json(large, "&search=077")["items"]


def test_the_place_of_the_page_that_was_linked_last_comes_first(large: Served, upstreams: Upstreams) -> None:
    linked = {"reference": "xwiki:Cases.Case 099.Notes.WebHome"}
    upstreams.xwiki.add_page(linked["reference"], title="Notes")
    answer = large.app.test_client().post(f"{CASE_PATH}/xwiki", json=linked, headers=large.bearer())
    assert answer.status_code == 201

    first = {"value": "Cases.Case 099", "label": "All <b>cases</b> & co › R&amp;D 099"}
    assert _json(large)["items"][0] == first
    assert _in_form(large)[0] == first
