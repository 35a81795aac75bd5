"""Importing a source on the page: what it says when a file is right, and what it keeps when it is not."""

from __future__ import annotations

import io
import re
import time

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, csrf, post
from support import MakeApp, signed_in_client

from panel.config import PROJECT_ROOT

GOOD = """\
source:
  reference: intranet
  location: https://intranet.example.org
  auth: {type: none}
endpoints: [one]
"""


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


def test_an_imported_file_becomes_a_source_and_what_was_left_aside_is_said(
    as_admin: FlaskClient, behind: Behind
) -> None:
    page = post(as_admin, "/admin/import-source", {"text": GOOD}, follow_redirects=True)

    assert page.request.path == "/admin/sources/intranet"
    assert "“endpoints” is ignored" in page.text
    assert "The source “intranet” is imported." in page.text
    assert behind.sources.find("intranet").location == "https://intranet.example.org"


def test_a_file_can_be_uploaded(as_admin: FlaskClient, behind: Behind) -> None:
    upload = {"file": (io.BytesIO(GOOD.encode()), "intranet.yaml")}

    assert post(as_admin, "/admin/import-source", upload).status_code == 303
    assert behind.sources.find("intranet") is not None


def test_a_refused_file_comes_back_with_the_key_named(as_admin: FlaskClient, behind: Behind) -> None:
    page = post(as_admin, "/admin/import-source", {"text": GOOD.replace("location", "locatoin")})

    assert page.status_code == 422
    assert "“source.locatoin” is not a setting of a source." in page.text
    assert "locatoin: https://intranet.example.org" in page.text
    assert behind.sources.all() == []


@pytest.mark.parametrize("upload", [{"text": "  "}, {"file": (io.BytesIO(b""), "")}])
def test_nothing_to_import_is_said(as_admin: FlaskClient, upload: dict[str, object]) -> None:
    page = post(as_admin, "/admin/import-source", upload)

    assert page.status_code == 422
    assert "Choose a file or paste its text." in page.text


def test_a_file_of_bytes_that_are_no_text_is_refused(as_admin: FlaskClient) -> None:
    page = post(as_admin, "/admin/import-source", {"file": (io.BytesIO(b"\xff\xfe\x00"), "x.yaml")})

    assert page.status_code == 422
    assert "not UTF-8 text" in page.text


def named(name: str) -> str:
    return GOOD.replace("reference: intranet", f'reference: intranet\n  name: "{name}"')


def test_an_import_reads_the_listed_variables_only(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKI_NAME", "Our wiki")
    monkeypatch.setenv("OTHER_NAME", "CANARY")
    app = make_app(PANEL_IMPORT_VARIABLES="WIKI_NAME, NOT_SET")
    browser = signed_in_client(app, "alice", "admin")

    refused = post(browser, "/admin/import-source", {"text": named("${OTHER_NAME}")})
    assert refused.status_code == 422
    assert "CANARY" not in refused.text
    assert post(browser, "/admin/import-source", {"text": named("${WIKI_NAME}")}).status_code == 303
    assert Behind(app).sources.find("intranet").name == "Our wiki"


@pytest.mark.parametrize("setting", ["", "NOT_SET"])
def test_a_refused_variable_does_not_tell_whether_it_is_set(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("IS_SET", "CANARY")
    browser = signed_in_client(make_app(PANEL_IMPORT_VARIABLES=setting), "alice", "admin")

    texts = [
        post(browser, "/admin/import-source", {"text": named(f"${{{name}}}")}).text for name in ("IS_SET", "NOT_SET")
    ]

    assert without_csrf(texts[0]).replace("IS_SET", "NOT_SET") == without_csrf(texts[1])
    assert "“name” needs NOT_SET" in texts[1]


def without_csrf(text: str) -> str:
    return re.sub(r'value="[\w.-]{40,}"|LP-[0-9A-Z-]+', "", text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        "a-pass-" * 20_000,
        "x: a-pass-" * 400,
        "source:\n  name: " + "x" * 64_000 + "\n  wrong: 1\n",
        "&a " * 20_000,
        "a: [" * 15_000,
    ],
)
def test_a_hostile_file_is_refused_at_once(as_admin: FlaskClient, text: str) -> None:
    token = csrf(as_admin.get("/admin/import-source"))
    started = time.process_time()

    page = as_admin.post("/admin/import-source", data={"csrf_token": token, "text": text})

    assert page.status_code == 422
    assert time.process_time() - started < 1


def test_the_templates_are_offered_as_they_are(as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/sources").text

    for file in (PROJECT_ROOT / "docs" / "templates").glob("*.yaml"):
        assert f'href="/admin/sources/templates/{file.name}"' in page
        answer = as_admin.get(f"/admin/sources/templates/{file.name}")
        assert answer.text == file.read_text("utf-8")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{file.name}"'


@pytest.mark.parametrize("name", ["..%2f..%2fpyproject.yaml", "nothing.yaml", "xwiki-openconnector-source.yaml.yaml"])
def test_no_other_file_is_given_out(as_admin: FlaskClient, name: str) -> None:
    assert as_admin.get(f"/admin/sources/templates/{name}").status_code == 404
