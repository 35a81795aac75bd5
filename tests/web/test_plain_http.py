"""Signing in over plain http although the public address is https: said before the form, and after a try."""

from __future__ import annotations

import pytest
from flask import Flask
from support import MakeApp

PUBLIC = "https://panel.example.org"
SENTENCE = "This page was opened over plain http, where signing in cannot work."
SIGN_IN = "/admin/sign-in"


@pytest.fixture
def public(make_app: MakeApp) -> Flask:
    return make_app(PANEL_PUBLIC_URL=PUBLIC)


def test_a_browser_on_plain_http_is_told_before_the_form(public: Flask) -> None:
    page = public.test_client().get(SIGN_IN, base_url="http://panel.example.org").text

    assert SENTENCE in page
    assert f'<a href="{PUBLIC}">' in page
    assert page.index(SENTENCE) < page.index("<form")


def test_a_form_that_was_sent_all_the_same_gets_the_same_sentence(public: Flask) -> None:
    sent = public.test_client().post(SIGN_IN, base_url="http://panel.example.org", data={"name": "a", "password": "b"})

    assert sent.status_code == 400
    assert f"{SENTENCE} Open {PUBLIC}." in sent.text


@pytest.mark.parametrize(
    ("base_url", "headers"),
    [
        (PUBLIC, {}),
        ("http://127.0.0.1:8000", {}),
        ("http://panel.example.org", {"Sec-Fetch-Site": "none"}),
        ("http://panel.example.org", {"X-Forwarded-Proto": "https"}),
        ("http://panel.example.org", {"Forwarded": "for=192.0.2.1;proto=https"}),
    ],
)
def test_a_browser_that_can_sign_in_is_told_nothing(public: Flask, base_url: str, headers: dict[str, str]) -> None:
    page = public.test_client().get(SIGN_IN, base_url=base_url, headers=headers)

    assert (page.status_code, SENTENCE in page.text) == (200, False)


def test_a_panel_whose_address_is_plain_http_says_nothing(app: Flask) -> None:
    assert SENTENCE not in app.test_client().get(SIGN_IN).text
