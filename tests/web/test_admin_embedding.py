"""The page where administrators let applications show the tab."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, signed_in_client

from panel.accounts.embed_tokens import Secret


@pytest.fixture
def form(as_admin: FlaskClient) -> dict[str, str]:
    found = re.search(r'name="csrf_token" value="([^"]+)"', as_admin.get("/admin/embedding").text)
    assert found is not None
    return {"csrf_token": found[1]}


@pytest.fixture
def made(app: Flask) -> Secret:
    with app.app_context():
        return app.extensions["leafpanel"].embed_apps.create("Cases", ["https://cases.example.org"], by=ALICE)


def path_of(app: Flask) -> str:
    with app.app_context():
        return f"/admin/embedding/{app.extensions['leafpanel'].embed_apps.named('Cases').id}"


def test_a_secret_is_shown_once(as_admin: FlaskClient, form: dict[str, str]) -> None:
    made = as_admin.post("/admin/embedding", data={**form, "name": "Shop", "origins": "https://a.example http://b:81"})
    found = re.search(r'id="secret">([^<]+)<', made.text)

    assert (made.status_code, found is not None) == (201, True)
    page = as_admin.get("/admin/embedding").text
    assert "https://a.example" in page
    assert "http://b:81" in page
    assert found is not None
    assert found[1] not in page


@pytest.mark.parametrize("data", [{"name": "", "origins": "https://a"}, {"name": "A", "origins": "*"}, {"name": "A"}])
def test_a_wrong_form_comes_back_as_it_was_typed(
    as_admin: FlaskClient, form: dict[str, str], data: dict[str, str]
) -> None:
    answer = as_admin.post("/admin/embedding", data={**form, **data})

    assert answer.status_code == 422
    assert "aria-invalid" in answer.text
    assert f'value="{data["name"]}"' in answer.text


def test_secrets_change_over_and_origins_are_saved(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    path = path_of(app)

    rotated = as_admin.post(f"{path}/rotate", data=form)
    again = as_admin.post(f"{path}/rotate", data=form)
    retired = as_admin.post(f"{path}/retire", data=form)
    saved = as_admin.post(path, data={**form, "origins": "https://new.example"})
    refused = as_admin.post(path, data={**form, "origins": "nowhere"})

    assert [answer.status_code for answer in (rotated, again, retired, saved, refused)] == [201, 409, 303, 303, 422]
    page = as_admin.get(path).text
    assert made.kid not in page
    assert "https://new.example" in page


def test_an_application_is_made_with_limits_which_the_list_shows(as_admin: FlaskClient, form: dict[str, str]) -> None:
    limits = {"registers": "cases\n permits \n", "integrations": ["xwiki"]}

    made = as_admin.post("/admin/embedding", data={**form, "name": "Shop", "origins": "https://a.example", **limits})

    page = as_admin.get("/admin/embedding").text
    assert made.status_code == 201
    assert "<div>cases, permits</div>" in page
    assert "<div>xwiki</div>" in page
    assert "Every register" not in page


def test_an_application_without_registers_is_warned_about(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    warned = [as_admin.get(path).text for path in ("/admin/embedding", path_of(app))]
    saved = as_admin.post(f"{path_of(app)}/limits", data={**form, "registers": "demo"})
    limited = [as_admin.get(path).text for path in ("/admin/embedding", path_of(app))]

    assert saved.status_code == 303
    assert "Not limited to registers: Cases" in warned[0]
    assert "Every register" in warned[0]
    assert "Not limited to registers" in warned[1]
    assert not [page for page in limited if "Every register" in page or "Not limited to registers" in page]


def test_saving_origins_does_not_touch_the_limits(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    as_admin.post(f"{path_of(app)}/limits", data={**form, "registers": "demo", "integrations": "xwiki"})
    as_admin.post(path_of(app), data={**form, "origins": "https://new.example"})

    with app.app_context():
        kept = app.extensions["leafpanel"].embed_apps.named("Cases")
        assert (kept.registers, kept.integrations) == (["demo"], ["xwiki"])


def test_wrong_limits_come_back_as_they_were_typed(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    typed = {"registers": "r" * 256, "integrations": "xwiki"}

    answers = [
        as_admin.post(f"{path_of(app)}/limits", data={**form, **typed}),
        as_admin.post("/admin/embedding", data={**form, "name": "Shop", "origins": "https://a.example", **typed}),
    ]

    for answer in answers:
        assert (answer.status_code, 'id="registers-error"' in answer.text) == (422, True)
        assert "r" * 256 in answer.text
        assert 'value="xwiki" checked' in answer.text


def test_the_inspector_names_the_registers_of_the_application(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    as_admin.post(f"{path_of(app)}/limits", data={**form, "registers": "permits"})

    page = as_admin.post("/admin/embedding/inspect", data={**form, "address": token_of(made, CASE)}).text

    assert "This address is refused" in page
    assert "Cases is limited to the registers permits." in page


def test_a_switched_off_application_is_refused(
    app: Flask, as_admin: FlaskClient, made: Secret, form: dict[str, str]
) -> None:
    as_admin.post(f"{path_of(app)}/switch", data={**form, "value": "off"})

    assert app.test_client().get(f"/embed/demo/case/1?token={token_of(made, CASE)}").status_code == 401
    assert "Enable" in as_admin.get(path_of(app)).text


@pytest.mark.parametrize(
    ("path", "changes", "said"),
    [
        ("demo/case/1", {}, "This address is accepted"),
        ("demo/case/2", {}, "name different objects"),
        ("demo/case/1", {"exp": 1}, "The token has expired."),
        ("demo/case/1", {"can": []}, "The claim can must be"),
        ("demo/case/1", {"aud": "x"}, "The claim aud must be"),
    ],
)
def test_the_inspector_names_the_rule_that_refuses(
    as_admin: FlaskClient, made: Secret, form: dict[str, str], path: str, changes: dict[str, object], said: str
) -> None:
    token = token_of(made, CASE, **changes)

    page = as_admin.post(
        "/admin/embedding/inspect", data={**form, "address": f"https://p.example/embed/{path}?token={token}"}
    ).text

    assert said in page
    assert "objectId" in page
    assert token not in page


@pytest.mark.parametrize("address", ["", "words", "https://p.example/embed/a/b/c", "https://[", "a.b.c"])
def test_the_inspector_takes_anything(as_admin: FlaskClient, form: dict[str, str], address: str) -> None:
    answer = as_admin.post("/admin/embedding/inspect", data={**form, "address": address})

    assert (answer.status_code, "This address is refused" in answer.text) == (200, True)


def test_the_page_shows_the_script_with_a_checksum_that_fits(app: Flask, as_admin: FlaskClient, made: Secret) -> None:
    page = unescape(as_admin.get(path_of(app)).text)

    found = re.search(r'<script src="[^"]*(/static/embed\.js\?v=[0-9a-f]{16})" integrity="sha384-([^"]+)"', page)
    assert found is not None
    script = as_admin.get(found[1]).data
    assert base64.b64decode(found[2]) == hashlib.sha384(script).digest()


def test_only_administrators_come_here(app: Flask, made: Secret) -> None:
    editor = signed_in_client(app, "bob", "editor")

    assert [editor.get(path).status_code for path in ("/admin/embedding", path_of(app))] == [403, 403]


@pytest.mark.parametrize(("registers", "register"), [([], "demo"), (["permits"], "permits")])
def test_the_tab_is_tried_as_the_application_shows_it(
    connected: Flask, as_admin: FlaskClient, form: dict[str, str], registers: list[str], register: str
) -> None:
    with connected.app_context():
        apps = connected.extensions["leafpanel"].embed_apps
        apps.create("Cases", ["https://cases.example.org"], registers=registers, by=ALICE)
    path = path_of(connected)
    assert f'action="{path}/try" target="_blank"' in as_admin.get(path).text

    opened = as_admin.post(f"{path}/try", data=form)
    page = connected.test_client().get(opened.location)

    assert opened.location.startswith(f"/embed/{register}/case/1?token=")
    assert page.status_code == 200
    assert "Search or paste anything" not in page.text


def test_a_switched_off_application_cannot_be_tried(
    app: Flask, as_admin: FlaskClient, form: dict[str, str], made: Secret
) -> None:
    path = path_of(app)
    as_admin.post(f"{path}/switch", data={**form, "value": "off"})

    answer = as_admin.post(f"{path}/try", data=form, follow_redirects=True)

    assert "The application Cases is switched off." in answer.text
    assert f"{path}/try" not in answer.text
