"""Another instance than the links': on the overview, the source's page and the ladder, and the button that accepts it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import csrf, post
from support import CASE, Upstreams

from panel.connector import Caller
from panel.links.visitor import Visitor
from panel.services import Panel

TRACKER = "/admin/sources/openproject"
SENTENCE = "This leads to another OpenProject than the one the link was made in."


@pytest.fixture
def panel(connected: Flask) -> Iterator[Panel]:
    with connected.app_context():
        yield connected.extensions["leafpanel"]


@pytest.fixture
def moved(panel: Panel, visitor: Visitor, upstreams: Upstreams) -> None:
    """There is a link, and the address leads to another tracker now; nobody has looked since."""
    panel.connection_tests.run("openproject", caller=Caller("test", "alice"))
    panel.links.link(visitor, "openproject", CASE, "101")
    upstreams.openproject.host_name = "elsewhere.example"


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def climbed(client: FlaskClient) -> str:
    return post(client, f"{TRACKER}/test", follow_redirects=True).text


@pytest.mark.usefixtures("moved")
def test_the_ladder_has_one_amber_rung_with_a_remedy(as_admin: FlaskClient) -> None:
    page = climbed(as_admin)

    rung = page.partition('<li class="warn">')[2].partition("</li>")[0]
    assert "All 6 steps passed; another instance answers" in words(page)
    assert "Is it the same one? : needs a decision" in words(rung)
    assert SENTENCE in rung
    assert 'action="/admin/sources/openproject/instance"' in rung
    assert f'href="{TRACKER}#location"' in rung


@pytest.mark.usefixtures("moved")
def test_the_overview_asks_for_a_decision(as_admin: FlaskClient) -> None:
    climbed(as_admin)

    page = as_admin.get("/admin/").text

    assert "1 connection needs you" in page
    assert SENTENCE in page
    assert f'href="{TRACKER}#instance"' in page
    assert "Degraded another instance" in words(page)


@pytest.mark.usefixtures("moved")
def test_saying_that_it_is_meant_ends_the_warning(as_admin: FlaskClient) -> None:
    climbed(as_admin)
    page = as_admin.get(TRACKER).text
    [other_instance] = re.findall(r'name="other_instance" value="(\w+)"', page)

    answer = as_admin.post(
        f"{TRACKER}/instance", data={"csrf_token": csrf(as_admin.get(TRACKER)), "other_instance": other_instance}
    )
    after = as_admin.get(TRACKER).text

    assert (answer.status_code, answer.location) == (303, TRACKER)
    assert "The links lead into this OpenProject now." in after
    assert 'id="instance"' not in after
    assert "needs you" not in as_admin.get("/admin/").text
    assert "All 6 steps passed" in words(climbed(as_admin))


@pytest.mark.usefixtures("moved")
def test_what_was_not_seen_is_not_accepted(as_admin: FlaskClient) -> None:
    climbed(as_admin)

    said = post(as_admin, f"{TRACKER}/instance", {"other_instance": "0" * 16}, follow_redirects=True).text

    assert "no longer what the last check found" in said
    assert 'id="instance"' in said


@pytest.mark.usefixtures("moved")
def test_a_test_of_what_is_typed_warns_and_offers_no_button(as_admin: FlaskClient) -> None:
    from pages import fill

    page = fill(as_admin, TRACKER, "test", name="Typed").text

    assert SENTENCE in page
    assert "save it, test again and say so" in page
    assert f"{TRACKER}/instance" not in page


def test_where_all_is_well_nothing_is_said(as_admin: FlaskClient, panel: Panel, visitor: Visitor) -> None:
    panel.links.link(visitor, "openproject", CASE, "101")

    assert "Is it the same one?" not in climbed(as_admin)
    assert 'id="instance"' not in as_admin.get(TRACKER).text
