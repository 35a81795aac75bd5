"""A page of a wiki has one title: in the answer to a link, in lists, in the picker, over MCP and in the wiki itself."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from agents import Agent, Served
from odd_titles import TITLES
from selectolax.lexbor import LexborHTMLParser
from support import CASE_PATH, Upstreams, signed_in_client
from tab_reader import fragment, get, leaf

from panel.core.text import one_line
from panel.web.formatting import key

EXPECTED = {f"xwiki:Sandbox.Odd{number}": one_line(title) for number, title in enumerate(TITLES)}
PAGES = range(1, 4)


@pytest.fixture(params=["16", "18"])
def wiki(request: pytest.FixtureRequest, upstreams: Upstreams) -> Upstreams:
    upstreams.xwiki.behave_like(request.param)
    for reference, title in zip(EXPECTED, TITLES, strict=True):
        upstreams.xwiki.add_page(reference, title=title)
    return upstreams


def test_a_page_has_the_same_title_everywhere(wiki: Upstreams, served: Served) -> None:
    linked = _link_all(served)
    with served.agent() as agent:
        over_mcp = _titles(agent.body("list", "xwiki", filters={"_limit": 200})["items"])
        found_over_mcp = _found(agent)
    listed = served.app.test_client().get(f"{CASE_PATH}/xwiki?_limit=200", headers=served.bearer()).json["items"]

    assert linked == EXPECTED
    assert over_mcp == EXPECTED
    assert _titles(listed) == EXPECTED
    assert {row["id"]: row["breadcrumb"][-1] for row in listed} == EXPECTED
    assert found_over_mcp.items() <= EXPECTED.items()
    assert _in_tab(served) == EXPECTED
    assert _in_picker(served).items() <= EXPECTED.items()
    assert _in_wiki(wiki) == EXPECTED


def _titles(rows: Iterable[dict[str, str]]) -> dict[str, str]:
    return {row["id"]: row["title"] for row in rows if row["id"] in EXPECTED}


def _link_all(served: Served) -> dict[str, str]:
    client, headers = served.app.test_client(), served.bearer()
    made = [client.post(f"{CASE_PATH}/xwiki", json={"reference": one}, headers=headers).json for one in EXPECTED]
    return _titles(made)


def _found(agent: Agent) -> dict[str, str]:
    found = agent.body("search", "xwiki", filters={"search": "bold", "limit": 100})["results"]
    assert found
    return _titles(found)


def _in_tab(served: Served) -> dict[str, str]:
    reader = signed_in_client(served.app, "reader", "editor")
    shown = {}
    for number in PAGES:
        page = get(reader, leaf("xwiki", f"?page={number}"))
        for reference in EXPECTED:
            if title := page.html.css_first(f"#title-{key(reference)}"):
                shown[reference] = " ".join(title.text().split())
    return shown


def _in_picker(served: Served) -> dict[str, str]:
    found = fragment(signed_in_client(served.app, "picker", "editor"), leaf("xwiki", "/search?q=bold"))
    options = found.all(".lp-option")
    assert options
    for option in options:
        assert " ".join(option.css(".lp-option-title")[0].text().split()) == _data(option, "title")
    found_titles = {_data(option, "reference"): _data(option, "title") for option in options}
    return {reference: title for reference, title in found_titles.items() if reference in EXPECTED}


def _data(option: object, name: str) -> str:
    return str(option.attributes[f"data-{name}"])  # type: ignore[attr-defined]


def _in_wiki(wiki: Upstreams) -> dict[str, str]:
    """The headings of the wiki's own pages."""
    from werkzeug.test import Client

    client = Client(wiki.xwiki)
    return {one: _heading(client.get(f"/bin/view/Sandbox/{one.rpartition('.')[2]}").text) for one in EXPECTED}


def _heading(html: str) -> str:
    heading = LexborHTMLParser(html).css_first("h1")
    return one_line(heading.text()) if heading is not None else ""
