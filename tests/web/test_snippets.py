"""The code that applications sign with: the same on the page and in the guide, and what it makes is accepted."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support import CONSOLE

from panel.accounts.embed_tokens import Secret
from panel.config import PROJECT_ROOT
from panel.core.domain import ObjectRef
from panel.core.errors import InvalidInput
from panel.web.admin.snippets import LANGUAGES, SnippetRequest, snippet

GUIDE = (PROJECT_ROOT / "docs" / "embedding.md").read_text("utf-8")
NASTY = "zaken \"é\\$x' {y}"


@pytest.fixture
def made(app: Flask) -> Secret:
    with app.app_context():
        return app.extensions["leafpanel"].embed_apps.create("Cases", ["https://cases.example.org"], by=CONSOLE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_shows_what_the_page_makes(app: Flask, language: str) -> None:
    wanted = SnippetRequest(language, "demo", "case", ("view", "link", "unlink"))
    with app.test_request_context():
        code = snippet(wanted, kid="lpk_…", panel_url="https://panel.example.org")

    assert f"\n{code.strip()}\n```" in GUIDE


def test_an_address_that_the_python_code_signs_is_accepted(
    app: Flask, made: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAFPANEL_SECRET", made.value)
    with app.test_request_context():
        code = snippet(
            SnippetRequest("python", NASTY, "a b", ("view",)), kid=made.kid, panel_url="https://panel.example.org"
        )
    written: dict[str, Any] = {}
    exec(code, written)

    address = urlsplit(written["leafpanel_url"]('al"ice', "42/a"))

    with app.app_context():
        held = app.extensions["leafpanel"].embed_apps.verify(address.query.removeprefix("token="))
    assert held.object == ObjectRef(NASTY, "a b", "42/a")
    assert [unquote(part) for part in address.path.split("/")[2:]] == [NASTY, "a b", "42/a"]
    assert held.principal.name == 'al"ice'


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_value_leaves_its_literal(app: Flask, language: str) -> None:
    """Whatever stands in the quotes: cut every string literal out, and nothing of the value is left."""
    with app.test_request_context():
        code = snippet(
            SnippetRequest(language, NASTY, NASTY, ("view",)), kid="k", panel_url="https://panel.example.org"
        )

    bare = re.sub(r'"(?:\\.|[^"\\])*"' if language != "php" else r"'(?:\\.|[^'\\])*'", "", code)

    assert "zaken" not in bare
    assert "{y}" not in bare


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"language": "cobol"}, "language"),
        ({"register": "a\nb"}, "register"),
        ({"schema": "x" * 256}, "schema"),
        ({"can": ()}, "can"),
        ({"can": ("admin",)}, "can"),
    ],
)
def test_a_wrong_wish_names_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        SnippetRequest(**given)

    assert refused.value.field == field


def test_the_page_makes_the_code_for_a_register(app: Flask, as_admin: FlaskClient, made: Secret) -> None:
    with app.app_context():
        app_id = app.extensions["leafpanel"].embed_apps.named("Cases").id

    page = as_admin.get(f"/admin/embedding/{app_id}?language=php&register=demo&schema=case&can=view").text
    refused = as_admin.get(f"/admin/embedding/{app_id}?language=php&register=demo&schema=case").text

    code = unescape(page.partition('id="code">')[2].partition("</pre>")[0])
    assert f"'kid' => '{made.kid}'" in code
    assert "'can' => ['view']" in code
    assert made.value not in page
    assert "Choose at least one." in refused
    assert 'value="demo"' in refused
