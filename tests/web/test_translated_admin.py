"""Every text of the admin pages is translated: in a made-up language no page of them has a word of English."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, post
from sqlalchemy import insert
from support import ALICE, CASE, Upstreams, signed_in_client, xwiki_values
from web.admin_words import PAGES, PATTERNS, check, sent
from web.pseudo import speak_pseudo, untranslated

from panel.core.clock import now
from panel.core.reasons import Reason
from panel.links.visitor import Visitor
from panel.logs.audit import AuditAction
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import AuditEntry, Call, OpenCreate, OpenUpdate
from panel.web.admin.audit_words import DETAILS, detail_words
from panel.web.storage_words import STORAGE_WORDS
from panel.web.translations import translated


@pytest.fixture(autouse=True)
def pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_pseudo(monkeypatch)


@pytest.fixture
def behind(connected: Flask) -> Behind:
    return Behind(connected)


@pytest.fixture
def linked(connected: Flask, visitor: Visitor) -> None:
    with connected.app_context():
        services: Panel = connected.extensions["leafpanel"]
        services.links.link(visitor, "openproject", CASE, "101")
        services.links.link(visitor, "openproject", CASE, "102")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_an_empty_panel(as_admin: FlaskClient, path: str) -> None:
    check(as_admin.get(path))


@pytest.mark.usefixtures("linked")
def test_pages_with_sources_and_calls(as_admin: FlaskClient, behind: Behind, upstreams: Upstreams) -> None:
    behind.sources.change("xwiki", {"rate_limit": "60/minute", "enabled": False}, by=ALICE)
    behind.sources.create(xwiki_values(upstreams, slug="intranet", name="Intranet"), by=ALICE)
    post(as_admin, "/admin/check")
    upstreams.openproject.fault = "server-error"
    post(as_admin, "/admin/sources/openproject/test", follow_redirects=True)

    for path in (*PAGES, "/admin/sources/intranet", "/admin/sources/openproject/delete", "/admin/sources/xwiki/delete"):
        check(as_admin.get(path))
    for path in ("/admin/calls?source=openproject", "/admin/calls?text=nothing", "/admin/audit?who=nobody"):
        check(as_admin.get(path))
    check(as_admin.get("/admin/integrations", headers={"HX-Request": "true"}))


# --- people, tokens, applications --------------------------------------------------------------------------------------


def test_people(app: Flask, as_admin: FlaskClient) -> None:
    sent(as_admin, "/admin/people", 422, name="", role="editor")
    sent(as_admin, "/admin/people", 422, name="Bob", role="king")
    sent(as_admin, "/admin/people", 201, name="Bob", role="editor")
    sent(as_admin, "/admin/people", 409, name="Bob", role="editor")
    for role in ("admin", "viewer", "editor"):
        sent(as_admin, "/admin/people/2", role=role)
    sent(as_admin, "/admin/people/2/reset", 201)
    sent(as_admin, "/admin/people/2/switch", value="off")
    check(as_admin.get("/admin/people/2"))
    sent(as_admin, "/admin/people/2/switch", value="on")
    sent(as_admin, "/admin/people/1/switch", 409, value="off")
    sent(as_admin, "/admin/people/1", 409, role="viewer")


def test_a_person_whose_tokens_and_applications_stay(app: Flask, as_admin: FlaskClient) -> None:
    noor = signed_in_client(app, "Noor V.", "admin")
    embedding_app(noor)
    sent(noor, "/admin/tokens", 201, name="Agent 7", scope="admin", days="")
    page = post(as_admin, "/admin/people/2/switch", {"value": "off"}, follow_redirects=True)

    assert "Agent 7" in check(page)
    check(as_admin.get("/admin/people/2"))


def test_tokens(as_admin: FlaskClient) -> None:
    sent(as_admin, "/admin/tokens", 422, name="", scope="read", days="")
    sent(as_admin, "/admin/tokens", 422, name="Agent 7", scope="all", days="")
    sent(as_admin, "/admin/tokens", 422, name="Agent 7", scope="read", days="many")
    sent(as_admin, "/admin/tokens", 422, name="Agent 7", scope="read", days="99999999")
    sent(as_admin, "/admin/tokens", 422, name="Agent 7", scope="read", registers="x" * 300)
    sent(as_admin, "/admin/tokens", 422, name="Agent 7", scope="read", integrations="demo")
    sent(as_admin, "/admin/tokens", 201, name="Agent 7", scope="read", days="1", registers="demo\nzaken")
    check(as_admin.get("/admin/tokens"))
    check(as_admin.get("/admin/tokens/1/revoke"))
    sent(as_admin, "/admin/tokens/1/revoke")


def test_embedding_applications(as_admin: FlaskClient) -> None:
    sent(as_admin, "/admin/embedding", 422, name="", origins="https://somewhere.example")
    sent(as_admin, "/admin/embedding", 422, name="Cases", origins="somewhere")
    sent(as_admin, "/admin/embedding", 422, name="Cases", origins="")
    sent(as_admin, "/admin/embedding", 201, name="Cases", origins="https://cases.example.org", registers="demo")
    sent(as_admin, "/admin/embedding", 409, name="Cases", origins="https://cases.example.org")
    app_id = re.findall(r"/admin/embedding/(\w{8,})", as_admin.get("/admin/embedding").text)[0]
    own = f"/admin/embedding/{app_id}"
    check(as_admin.get(f"{own}?language=cobol&register=&schema="))
    check(as_admin.get(f"{own}?register={'x' * 300}&can=view"))
    check(as_admin.get(f"{own}?register=demo&schema=case"))
    sent(as_admin, own, 422, origins="somewhere")
    sent(as_admin, own, origins="https://cases.example.org")
    sent(as_admin, f"{own}/limits", 422, registers="x" * 300)
    sent(as_admin, f"{own}/limits", registers="")
    check(as_admin.get("/admin/embedding"))
    sent(as_admin, f"{own}/rotate", 201)
    check(as_admin.get(own))
    sent(as_admin, f"{own}/retire")
    for value in ("off", "on"):
        sent(as_admin, f"{own}/switch", value=value)
    check(as_admin.get(f"{own}/delete"))
    sent(as_admin, f"{own}/delete")


def test_addresses_that_the_inspector_explains(as_admin: FlaskClient) -> None:
    made = embedding_app(as_admin)
    token = token_of(made, CASE)
    wrong = [
        "http://[", "https://somewhere.example/", "abc", "a.b.c", token, token[:-2], token_of(made, CASE, exp=1),
        token_of(made, CASE, can=["fly"]), token_of(made, CASE, iat=None), token_of(made, CASE, sub=""),
        f"https://somewhere.example/embed/demo/case/2?token={token}",
        f"https://somewhere.example/embed/demo/case/1?token={token}",
    ]  # fmt: skip
    for address in wrong:
        sent(as_admin, "/admin/embedding/inspect", address=address)


# --- signing in --------------------------------------------------------------------------------------------------------


def test_signing_in(app: Flask, client: FlaskClient) -> None:
    Behind(app).people.create("Bob", "Long enough 1", role="viewer", by=ALICE)
    check(client.get("/admin/sign-in"))
    stranger = {"REMOTE_ADDR": "192.0.2.1"}
    for number in range(12):
        typed = {"name": "Bob", "password": f"wrong {number}"}
        answer = post(client, "/admin/sign-in", typed, environ_overrides=stranger)
        check(answer, 401, 429)
    assert answer.status_code == 429


def test_choosing_a_password(app: Flask, as_admin: FlaskClient) -> None:
    password = re.findall(
        r'id="one-time-password">([^<]+)<', sent(as_admin, "/admin/people", 201, name="Bob", role="viewer")
    )
    client = app.test_client()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', client.get("/admin/sign-in").text)[0]
    signed_in = {"csrf_token": token, "name": "Bob", "password": password[0]}
    check(client.post("/admin/sign-in", data=signed_in, follow_redirects=True))
    sent(client, "/admin/password", 422, password="short", again="short")
    sent(client, "/admin/password", 422, password="Long enough 1", again="Another one 2")
    sent(client, "/admin/password", password="Long enough 1", again="Long enough 1")
    sent(client, "/admin/password", 422, current="wrong", password="Long enough 1", again="Long enough 1")


def test_a_form_that_is_sent_after_signing_in_again(as_admin: FlaskClient, app: Flask) -> None:
    with app.test_request_context():
        from flask import render_template

        from panel.web.auth.resume_form import ResumeForm

        shown = render_template(
            "admin/resume.html", form=ResumeForm("/admin/tokens", "/admin/tokens", (("name", "x"),))
        )
    assert untranslated(re.sub(r"<textarea.*?</textarea>", "", shown, flags=re.DOTALL), PATTERNS) == []


# --- creates, changes and the audit trail ------------------------------------------------------------------------------

SAMPLES = {
    AuditAction.LINK: ("undo",),
    AuditAction.NOTE: ("removed",),
    AuditAction.CREATE_SETTLED: ("linked", "not there"),
    AuditAction.UPDATE_SETTLED: tuple(
        f"{word}: subject; Bob, 2026-10-31 14:06 UTC" for word in ("changed", "not changed")
    ),
    AuditAction.SOURCE_IMPORTED: ("new",),
    AuditAction.SECRET_SET: (
        "auth.password set, for https://a.example",
        "auth.password replaced, for https://a.example and https://b.example",
    ),
    AuditAction.KEYS_ROTATED: ("key key-1, 2 sealed anew", "key key-1, 2 sealed anew, retired key-2"),
    AuditAction.EMBED_APP_CREATED: (
        "lpk_1, origins https://a.example https://b.example",
        "lpk_1, origins https://a.example, registers demo, zaken; integrations all",
    ),
    AuditAction.EMBED_APP_CHANGED: ("origins https://a.example", "registers all; integrations xwiki, openproject"),
    AuditAction.PERSON_ADDED: ("one-time password on the console",),
    AuditAction.PASSWORD_RESET: ("one-time password on the console",),
    AuditAction.SIGNED_OUT: ("everywhere",),
}
"""Details of the audit trail as they are stored."""


def test_every_action_of_the_audit_trail(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        for action in AuditAction:
            for detail in SAMPLES.get(action, ("subject",)):
                db.session.execute(insert(AuditEntry).values(_entry(action, detail)))
        for kind in ("embed:gone", "token", "local:bob", "session"):
            db.session.execute(insert(AuditEntry).values(_entry(AuditAction.LINK, "subject") | {"kind": kind}))
        db.session.commit()

    check(as_admin.get("/admin/audit"))
    check(as_admin.get("/admin/audit?since=yesterday"), 422)


def _entry(action: AuditAction, detail: str) -> dict[str, Any]:
    obj = {"register": "demo", "schema": "case", "object_id": "1"}
    return {
        "at": now(),
        "deed": action.value,
        "who": "Bob",
        "kind": "session",
        "face": "tab",
        "detail": detail,
        "request_id": "",
        "subject": "",
        "integration": "",
        **obj,
    }


@pytest.mark.parametrize("action", SAMPLES)
def test_details_of_the_audit_trail_stay_as_they_are_stored_in_english(action: AuditAction) -> None:
    for detail in SAMPLES[action]:
        words = detail_words(AuditEntry(**_entry(action, detail)))
        assert words == detail
        assert "⟦" in translated(words, "nl")
    assert set(SAMPLES) == set(DETAILS)


def test_creates_and_changes_that_wait_for_an_administrator(app: Flask, as_admin: FlaskClient) -> None:
    long_ago = now() - timedelta(days=1)
    common = {
        "who": "Bob",
        "face": "tab",
        "request_id": "LP-TEST-01",
        "register": "demo",
        "schema": "case",
        "object_id": "1",
    }
    with app.app_context():
        for integration in ("openproject", "xwiki", "somewhere"):
            for more in ({"is_unanswered": True}, {"reference": "7"}, {}, {"started_at": now()}):
                values = {"started_at": long_ago, "integration": integration, **common, **more}
                db.session.add(OpenCreate(**values))
            for is_made in (True, False):
                db.session.add(
                    OpenUpdate(
                        started_at=long_ago, integration=integration, reference="7", fields="subject", is_made=is_made,
                        **common,
                    )
                )  # fmt: skip
        db.session.commit()

    check(as_admin.get("/admin/creates"))
    check(as_admin.get("/admin/"))
    check(as_admin.get("/admin/audit"))
    sent(as_admin, "/admin/creates/1/link", 503, 400, 404, reference="7")
    sent(as_admin, "/admin/creates/1/absent")
    sent(as_admin, "/admin/creates/updates/1", value="changed")
    sent(as_admin, "/admin/creates/updates/2", value="unchanged")


# --- failures of our own storage ---------------------------------------------------------------------------------------


def test_words_about_our_own_storage() -> None:
    for words in STORAGE_WORDS.values():
        for text in (words.text, words.remedy):
            assert translated(text, "nl").startswith("⟦")


def test_every_call_of_the_call_log(app: Flask, as_admin: FlaskClient) -> None:
    with app.app_context():
        for reason in Reason:
            for method, status in (("GET", 200), ("GET", None), ("", None)):
                db.session.execute(
                    insert(Call).values(
                        at=now(), source="xwiki", face="tab", principal="Bob", method=method, path="/xwiki",
                        status=status, reason=reason.value if reason else None, ms=5, size=12000, served=3,
                        request_id="LP-TEST-01",
                    )
                )  # fmt: skip
        db.session.commit()

    for query in ("", "?source=xwiki", "?period=hour", "?outcome=failed"):
        check(as_admin.get(f"/admin/calls{query}"))
    check(as_admin.get("/admin/"))
