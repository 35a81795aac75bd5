"""Renewed lists through the whole product: what changes is shown at the first poll after the cache's time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driven_time import DrivenTime
from flask import Flask
from support import ALICE, CASE_PATH, MakeApp, Upstreams, openproject_values
from test_traffic import headers

from panel.accounts.api_tokens import TokenRequest
from panel.sandbox.openproject import OpenProjectStandIn

PATH = f"{CASE_PATH}/openproject"
NUMBERS = ["101", "102", "103"]


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch, upstreams: Upstreams) -> DrivenTime:
    time = DrivenTime(monkeypatch)
    time.follow(upstreams.openproject)
    return time


@pytest.fixture
def connect(make_app: MakeApp, upstreams: Upstreams, driven: DrivenTime) -> Callable[..., Flask]:
    """Make a panel with three links, which were read once and have not changed for long."""

    def make(**settings: str) -> Flask:
        app = make_app(PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port, PANEL_CACHE_TTL_S="5", **settings)
        with app.app_context():
            app.extensions["leafpanel"].sources.create(openproject_values(upstreams), by=ALICE)
        for number in NUMBERS:
            app.test_client().post(PATH, json={"reference": number}, headers=headers(app))
        driven.pass_by(100)
        titles(app)
        return app

    return make


def titles(app: Flask) -> list[str]:
    answer = app.test_client().get(PATH, headers=headers(app))
    return sorted(item["title"] for item in answer.json["items"])  # type: ignore[index]


def selected(standin: OpenProjectStandIn) -> int:
    return sum("select" in dict(one.params) for one in standin.requests)


def test_a_change_upstream_is_shown_at_the_first_poll(
    connect: Callable[..., Flask], upstreams: Upstreams, driven: DrivenTime
) -> None:
    app = connect()
    for number in range(5):
        driven.pass_by(10)
        upstreams.openproject.touch(101, subject=f"Change {number}")

        assert f"Change {number}" in titles(app)
    assert selected(upstreams.openproject) == 5


def test_a_change_of_ours_is_shown_at_once(connect: Callable[..., Flask], upstreams: Upstreams) -> None:
    app = connect()
    answer = app.test_client().patch(f"{PATH}/101", json={"subject": "Ours"}, headers=headers(app))

    assert answer.status_code == 200
    assert "Ours" in titles(app)
    assert selected(upstreams.openproject) == 0


def test_lists_can_always_be_read_in_full(
    connect: Callable[..., Flask], upstreams: Upstreams, driven: DrivenTime
) -> None:
    app = connect(PANEL_REREAD_S="0")
    driven.pass_by(10)
    upstreams.openproject.touch(101, subject="Changed")

    assert "Changed" in titles(app)
    assert selected(upstreams.openproject) == 0


def test_a_renewed_list_is_for_those_who_may_see_the_object(connect: Callable[..., Flask], driven: DrivenTime) -> None:
    app = connect()
    with app.app_context():
        request = TokenRequest("elsewhere", "read", registers=("other",))
        token = app.extensions["leafpanel"].api_tokens.create_token(request, by=ALICE)
    for _ in range(2):
        driven.pass_by(10)
        titles(app)

        assert app.test_client().get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 404
