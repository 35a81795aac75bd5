"""A form whose session ended under it goes along through signing in, and is sent when its writer says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from support import CONSOLE, Upstreams
from web.pages import Behind
from web.tab_reader import HTMX, Seen, fields_of, follow, get, leaf, send

from panel.core.clock import now

PASSWORD = "correct horse battery"
TYPED = {"space": "Sandbox", "title": "Ask <b>the fire brigade</b>", "content": "\nFirst line\n  second"}
SIGN_IN, SEND = "form[action='/admin/sign-in']", "main form.ad-card"


@pytest.fixture
def late(connected: Flask) -> FlaskClient:
    """Bob's browser, in which a form is open and the session is gone."""
    people = Behind(connected).people
    people.create("bob", PASSWORD, role="editor", by=CONSOLE)
    browser = connected.test_client()
    page = get(browser, "/admin/sign-in")
    send(browser, page, SIGN_IN, {"name": "bob", "password": PASSWORD})
    for on in (False, True):
        people.switch(people.named("bob"), on=on, by=CONSOLE)
    return browser


def sent_too_late(browser: FlaskClient) -> Seen:
    return Seen(browser.post(leaf("xwiki", "/new"), data={**TYPED, "key": "k1", "csrf_token": "old"}))


def signed_in(browser: FlaskClient, asked: Seen, password: str = PASSWORD) -> Seen:
    return send(browser, asked, SIGN_IN, {"name": "bob", "password": password})


def test_what_was_typed_is_sent_after_signing_in(late: FlaskClient, upstreams: Upstreams) -> None:
    asked = sent_too_late(late)
    question = signed_in(late, asked)
    listed = follow(late, send(late, question, SEND))

    assert (asked.status, question.status) == (401, 200)
    assert TYPED["title"] in listed.text
    assert [call.method for call in upstreams.xwiki.requests].count("PUT") == 1


def test_nothing_is_sent_before_its_writer_says_so(late: FlaskClient, upstreams: Upstreams) -> None:
    question = signed_in(late, sent_too_late(late))

    assert "Nothing was sent yet" in question.text
    assert "PUT" not in [call.method for call in upstreams.xwiki.requests]
    assert leaf("xwiki") in question.hrefs("main a")


def test_a_wrong_password_loses_nothing(late: FlaskClient) -> None:
    again = signed_in(late, sent_too_late(late), "wrong")

    question = signed_in(late, again)

    assert again.status == 401
    sent = dict(fields_of(question.find(SEND)))
    assert {name: sent[name] for name in TYPED} == TYPED


def test_a_part_of_a_page_asks_for_the_whole(late: FlaskClient) -> None:
    answer = late.post(leaf("xwiki", "/new"), data=TYPED, headers=HTMX)

    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["X-Leafpanel-Send-Whole"] == "yes"


@pytest.mark.parametrize("sealed", ["", "made up", "WyIvYWRtaW4vcGVvcGxlIiwiLyIsW11d.x.y"])
def test_a_form_that_the_panel_did_not_seal_is_left_out(late: FlaskClient, sealed: str) -> None:
    page = get(late, "/admin/sign-in")

    answer = send(late, page, SIGN_IN, {"name": "bob", "password": PASSWORD, "kept": sealed})

    assert (answer.status, answer.answer.location) == (303, "/admin/objects")


def test_an_old_form_is_left_out(late: FlaskClient) -> None:
    asked = sent_too_late(late)

    with time_machine.travel(now() + timedelta(hours=2)):
        answer = signed_in(late, asked)

    assert answer.status == 303


@pytest.mark.parametrize("path", ["/admin/people", "/admin/sources/new", "/admin/password", "/admin/import"])
def test_forms_that_may_hold_a_secret_are_not_kept(late: FlaskClient, path: str) -> None:
    answer = late.post(path, data={"name": "x", "password": "hunter2-canary"})

    assert "hunter2-canary" not in answer.text
    assert answer.status_code in (303, 404)
