"""One rule for hidden characters in every face: the tab, JSON and MCP show the same titles; references stay whole."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable

import pytest
from agents import Served
from flask import Flask
from support import CASE_PATH, Upstreams, signed_in_client

Bearer = Callable[[str], dict[str, str]]

TITLES = [
    ("👩‍👩‍👧‍👦 family 🏳️‍🌈", "👩‍👩‍👧‍👦 family 🏳️‍🌈"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",) * 2,
    ("क्\u200dष", "क्\u200dष"),
    ("a\U000e0041b\u200bc\u3164d\ufff9e", "abcde"),
    ("🏴\U000e0064\U000e0065\U000e006c\U000e007f", "🏴"),
]
SOFT = "xwiki:Sandbox.Soft\u00adhyphen\U000e0041"
SHOWN = "xwiki:Sandbox.Soft⟦U+00AD⟧hyphen⟦U+E0041⟧"


@pytest.mark.parametrize(("sent", "title"), TITLES)
def test_a_title_is_the_same_in_tab_json_and_mcp(
    served: Served, upstreams: Upstreams, sent: str, title: str, caplog: pytest.LogCaptureFixture
) -> None:
    upstreams.xwiki.add_page("Sandbox.Titled", title=sent, content=sent)
    with served.agent() as agent:
        agent.body("link", "xwiki", payload={"reference": "Sandbox.Titled"})
        result = agent.call("list", "xwiki")
    api = served.app.test_client().get(f"{CASE_PATH}/xwiki", headers={"Authorization": f"Bearer {served.token()}"})
    tab = signed_in_client(served.app, "alice", "admin").get("/objects/demo/case/1/integrations/xwiki")
    logging.getLogger("panel").warning("linked %s", api.json["items"][0]["title"])  # type: ignore[index]

    assert result.structured_content["items"][0]["title"] == title
    assert json.loads(result.content[0].text)["items"][0]["title"] == title  # type: ignore[union-attr]
    assert api.json["items"][0]["title"] == title  # type: ignore[index]
    assert f" {title} " in " ".join(re.sub("<[^>]*>", " ", tab.text).split())
    assert caplog.messages[-1] == f"linked {title}"


def test_a_reference_with_hidden_characters_stays_addressable(served: Served, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page(SOFT.removeprefix("xwiki:"), title="Soft")
    with served.agent() as agent:
        found = agent.body("search", "xwiki", filters={"search": "Soft"})["items"][0]["reference"]
        linked = agent.body("link", "xwiki", payload={"reference": found})
        got = agent.body("get", "xwiki", entityId=linked["id"])
        agent.body("unlink", "xwiki", entityId=linked["id"])

    assert found == linked["id"] == linked["reference"] == got["reference"] == SHOWN
    assert got["title"] == "Soft"


def test_json_names_a_page_as_the_upstream_does(connected: Flask, bearer: Bearer, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page(SOFT.removeprefix("xwiki:"), title="Soft")

    row = connected.test_client().post(f"{CASE_PATH}/xwiki", json={"reference": SOFT}, headers=bearer("write")).json

    assert (row or {})["reference"] == SOFT
