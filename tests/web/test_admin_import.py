"""Importing a source on the page: what it says when a file is right, and what it keeps when it is not."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, post

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


def test_an_import_cannot_read_the_panels_own_keys(
    as_admin: FlaskClient, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANEL_SECRET_KEY", "the key of this panel")
    monkeypatch.setenv("WIKI_NAME", "Our wiki")

    with_key, with_name = (
        GOOD.replace("reference: intranet", f'reference: intranet\n  name: "${{{name}}}"')
        for name in ("PANEL_SECRET_KEY", "WIKI_NAME")
    )

    assert post(as_admin, "/admin/import-source", {"text": with_key}).status_code == 422
    assert post(as_admin, "/admin/import-source", {"text": with_name}).status_code == 303
    assert behind.sources.find("intranet").name == "Our wiki"


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
