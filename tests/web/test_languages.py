"""Which language a page, a frame and an error body have, and how a person chooses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from pages import csrf
from routes import OWN
from support import CASE_PATH, MakeApp
from werkzeug.test import TestResponse

from panel.core.messages import _
from panel.web import translations
from panel.web.error_bodies import json_error, plain_body
from panel.web.language import language

PAGE = "/admin/sign-in"
PUBLIC = "https://panel.example.org"
WORDS = 'msgid "It is {what}."\nmsgstr "{what} is het."\n\nmsgid "late"\nmsgstr "laat"\n'
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'


@pytest.fixture
def dutch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "nl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(HEADER + WORDS, "utf-8")
    monkeypatch.setattr(translations, "FOLDER", tmp_path)
    translations.catalogue.cache_clear()
    yield
    translations.catalogue.cache_clear()


def spoken(answer: TestResponse) -> str:
    """The language of a page, which its header and its root element name alike."""
    named = answer.headers["Content-Language"]
    assert f'<html lang="{named}"' in answer.text
    return named


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        (None, "en"),
        ("*", "en"),
        ("nl", "nl"),
        ("nl-BE,en;q=0.5", "nl"),
        ("fr,de-AT;q=0.8,en;q=0.5", "de"),
        ("en,nl;q=0.9", "en"),
        ("nl;q=0,de;q=0.1", "de"),
        ("fr", "en"),
        (";;q=x,\xe9", "en"),
    ],
)
def test_the_browser_decides_where_nobody_chose(client: FlaskClient, accepted: str | None, said: str) -> None:
    answer = client.get(PAGE, headers={"Accept-Language": accepted} if accepted else {})

    assert spoken(answer) == said
    assert {"Accept-Language", "Cookie"} <= set(answer.vary.as_set(preserve_casing=True))


def choose(client: FlaskClient, code: str, back: str = PAGE) -> TestResponse:
    values = {"csrf_token": csrf(client.get(PAGE)), "language": code, "back": back}
    return client.post("/language", data=values)


def test_a_person_chooses_a_language_and_returns_to_the_page(client: FlaskClient) -> None:
    answer = choose(client, "de", f"{PAGE}?next=/objects/demo/case/1")

    cookie = answer.headers["Set-Cookie"]
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?next=/objects/demo/case/1")
    assert "leafpanel-language=de;" in cookie
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert spoken(client.get(PAGE, headers={"Accept-Language": "nl"})) == "de"
    assert spoken(client.get(f"{PAGE}?lang=nl")) == "nl"


def test_over_tls_no_other_host_sets_the_language(make_app: MakeApp) -> None:
    client = make_app(PANEL_PUBLIC_URL=PUBLIC).test_client()
    values = {"csrf_token": csrf(client.get(PAGE, base_url=PUBLIC)), "language": "nl"}

    answer = client.post("/language", data=values, base_url=PUBLIC, headers={"Referer": f"{PUBLIC}/"})

    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-leafpanel-language=nl;")
    assert "Secure" in cookie.split("; ")


def test_the_choice_leads_nowhere_else_and_needs_a_page_of_ours(client: FlaskClient) -> None:
    assert choose(client, "nl", "//evil.example").location == "/admin/"
    assert choose(client, "tlh").headers["Set-Cookie"].startswith("leafpanel-language=;")
    assert client.post("/language", data={"language": "nl"}).status_code == 400


def test_every_admin_page_offers_the_languages(as_admin: FlaskClient, client: FlaskClient) -> None:
    for answer in (as_admin.get("/admin/people"), as_admin.get("/admin/objects"), client.get(PAGE)):
        assert 'action="/language"' in answer.text
        assert [f'lang="{code}"' in answer.text for code in ("en", "nl", "de")] == [True] * 3
        assert f'name="back" value="{answer.request.path}"' in answer.text


def test_outside_of_a_request_the_language_is_english() -> None:
    assert language() == "en"


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "query", "said"),
    [("nl-NL", "lang=de", "nl"), ("", "lang=de", "de"), ("fr", "", "en"), ("fr", "lang=de", "de"), ("", "", "en")],
)
def test_the_host_decides_in_its_frame(
    connected: Flask, as_admin: FlaskClient, client: FlaskClient, claim: str, query: str, said: str
) -> None:
    token = token_of(embedding_app(as_admin), OWN, lang=claim)

    assert spoken(client.get(f"/embed/demo/case/1?token={token}&{query}")) == said


def test_a_refused_token_is_told_in_the_language_of_the_address(client: FlaskClient) -> None:
    answer = client.get("/embed/demo/case/1?token=a.b.c&lang=nl")

    assert (answer.status_code, spoken(answer)) == (401, "nl")


# --- JSON ------------------------------------------------------------------------------------------------------------


def told(app: Flask, accepted: str | None, path: str = "/api/x") -> dict[str, object]:
    """The error body of a sentence with a translation, for a request with this header."""
    headers = {"Accept-Language": accepted} if accepted else {}
    body = plain_body(_("It is {what}.", what=_("late")), 422)
    body |= {"fields": {"due": _("late"), "subject": "late"}, "details": {"reason": _("late")}}
    with app.test_request_context(path, headers=headers, method="POST"):
        app.preprocess_request()
        answer = json_error(body)
    assert answer.vary.as_set() >= {"accept-language"}
    return {**(answer.get_json()), "language": answer.headers["Content-Language"]}


@pytest.mark.usefixtures("dutch")
@pytest.mark.parametrize("accepted", [None, "*", "en,nl;q=0.5", "fr"])
def test_an_error_body_is_english_unless_asked(app: Flask, accepted: str | None) -> None:
    assert told(app, accepted)["message"] == told(app, accepted)["error"] == "It is late."
    assert told(app, accepted)["language"] == "en"


@pytest.mark.usefixtures("dutch")
def test_an_error_body_has_its_sentences_translated_and_nothing_else(app: Flask) -> None:
    body = told(app, "nl,en;q=0.5")

    assert body["message"] == body["error"] == "laat is het."
    assert body["fields"] == {"due": "laat", "subject": "late"}
    assert (body["details"], body["code"], body["language"]) == ({"reason": "late"}, 422, "nl")


@pytest.mark.usefixtures("dutch")
def test_agents_are_told_in_english(app: Flask, client: FlaskClient) -> None:
    answer = client.post("/api/mcp", headers={"Accept-Language": "nl"})

    assert (answer.status_code, answer.headers["Content-Language"]) == (401, "en")


def test_what_goes_wrong_in_json_is_told_in_the_language_that_is_asked_for(
    client: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    reader = bearer("read")
    answers = {
        accepted: client.get("/api/nothing", headers={**reader, "Accept-Language": accepted})
        for accepted in ("nl", "de-CH,en;q=0.9", "en,de")
    }

    assert [answer.json["message"] for answer in answers.values()] == [
        "Er is niets op dit adres.", "Unter dieser Adresse gibt es nichts.", "There is nothing at this address.",
    ]  # fmt: skip
    assert all(answer.json["error"] == answer.json["message"] for answer in answers.values())


def test_a_kept_failure_is_told_to_each_in_the_own_language(
    app: Flask, bearer: Callable[[str], dict[str, str]]
) -> None:
    client, reader = app.test_client(), bearer("read")
    asked = ("nl", "en", "de", "nl", "", "de")
    answers = [client.get(f"{CASE_PATH}/xwiki", headers={**reader, "Accept-Language": word}) for word in asked]
    told = [answer.json["message"] for answer in answers]

    assert [answer.status_code for answer in answers] == [503] * 6
    assert [answer.headers["Content-Language"] for answer in answers] == ["nl", "en", "de", "nl", "en", "de"]
    assert [words.split(" ")[0] for words in told] == ["De", "OpenConnector", "Die", "De", "OpenConnector", "Die"]
    assert answers[0].json["details"] == answers[1].json["details"] == answers[2].json["details"]
    assert all("Accept-Language" in answer.headers["Vary"] for answer in answers)


def test_a_token_of_a_host_asks_for_a_language_too(app: Flask, as_admin: FlaskClient, client: FlaskClient) -> None:
    token = token_of(embedding_app(as_admin), OWN, lang="de")

    answer = client.get(f"{CASE_PATH}/xwiki", headers={"Authorization": f"Bearer {token}", "Accept-Language": "nl"})

    assert (answer.status_code, answer.headers["Content-Language"]) == (503, "de")


def test_a_list_and_its_etag_are_the_same_in_every_language(
    connected: Flask, bearer: Callable[[str], dict[str, str]]
) -> None:
    client, writer = connected.test_client(), bearer("write")
    client.post(f"{CASE_PATH}/xwiki", json={"reference": "Sandbox.TestPage1"}, headers=writer)
    answers = [client.get(f"{CASE_PATH}/xwiki", headers={**writer, "Accept-Language": word}) for word in ("nl", "en")]

    assert answers[0].data == answers[1].data
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    assert "Content-Language" not in answers[0].headers
