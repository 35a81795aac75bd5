"""The address `/`, and the way on from a page that failed."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support import MakeApp, signed_in_client


def end_of(client: FlaskClient, path: str) -> str:
    return client.get(path, follow_redirects=True).request.path


@pytest.mark.parametrize(("role", "first"), [("admin", "/admin/"), ("editor", "/admin/objects")])
def test_the_root_leads_people_to_their_first_page(app: Flask, role: str, first: str) -> None:
    assert end_of(signed_in_client(app, "dana", role), "/") == first


def test_the_root_leads_a_stranger_to_the_sign_in_form(app: Flask) -> None:
    assert end_of(app.test_client(), "/") == "/admin/sign-in"


def test_the_root_stays_below_the_public_path(make_app: MakeApp) -> None:
    client = make_app(PANEL_PUBLIC_URL="http://localhost/panel").test_client()

    assert [client.get(path).location for path in ("/", "/panel/")] == ["/panel/admin/sign-in"] * 2
    assert client.get("/panel").location == "/panel/"


@pytest.mark.parametrize("path", ["/nowhere", "/admin/nowhere", "/admin/sources/nothing"])
@pytest.mark.parametrize("role", ["admin", "editor", ""])
def test_a_failed_page_leads_on_and_names_its_reference(app: Flask, path: str, role: str) -> None:
    client = signed_in_client(app, "dana", role) if role else app.test_client()

    answer = client.get(path)

    if answer.status_code != 303:
        assert answer.status_code in (403, 404)
        assert 'href="/"' in answer.text
        assert f">{answer.headers['X-Request-Id']}</code>" in answer.text


def test_a_failed_page_in_a_frame_has_neither(app: Flask) -> None:
    page = app.test_client().get("/embed/nowhere")

    assert page.status_code == 404
    assert 'href="/"' not in page.text
    assert not re.search("LP-....-..", page.text)
