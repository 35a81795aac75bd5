"""The part of Bootstrap's CSS that is sent: current, and complete for every page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import bootstrap_css
import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from routes import OWN, PAGE, ids, routes
from selectolax.lexbor import LexborHTMLParser

SENT = bootstrap_css.WRITTEN.read_text("utf-8")
WHOLE = bootstrap_css.WHOLE.read_text("utf-8")


def test_the_file_is_what_make_css_writes() -> None:
    assert bootstrap_css.subset() == SENT, "run `make css`"


def test_it_is_small_and_states_its_licence() -> None:
    assert len(SENT.encode()) < 20_000
    assert "Licensed under MIT" in SENT
    assert "Copyright (c) 2011-2025 The Bootstrap Authors" in (bootstrap_css.WRITTEN.parent / "LICENSE").read_text()


def test_every_class_on_every_page_that_bootstrap_knows_is_in_it(
    connected: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    linked = {"reference": PAGE}
    connected.test_client().post("/api/objects/demo/case/1/integrations/xwiki", json=linked, headers=bearer("write"))
    frame = {"Authorization": f"Bearer {token_of(embedding_app(as_admin), OWN)}"}
    pages = [
        as_admin.get(one.path, buffered=True) for one in routes(connected, **ids(connected)) if one.method == "GET"
    ]
    pages += [connected.test_client().get(one.path, headers=frame) for one in routes(connected) if one.face == "embed"]

    shown = {name for page in pages if page.mimetype == "text/html" for name in classes_of(page.text)}
    known = shown & set(bootstrap_css.CLASS.findall(WHOLE))

    assert known >= {"btn", "btn-primary", "btn-outline-danger", "form-control", "form-select", "visually-hidden"}
    assert known - set(bootstrap_css.CLASS.findall(SENT)) == set()


def classes_of(page: str) -> set[str]:
    elements = LexborHTMLParser(page).css("[class]")
    return {name for one in elements for name in (one.attributes["class"] or "").split()}


def test_no_custom_property_that_is_read_lost_its_definition() -> None:
    own = "".join(path.read_text("utf-8") for path in bootstrap_css.STYLESHEETS)

    assert undefined(SENT + own) <= undefined(WHOLE)


def undefined(css: str) -> set[str]:
    return set(re.findall(r"var\((--bs-[\w-]+)\)", css)) - set(re.findall(r"(--bs-[\w-]+)\s*:", css))


@pytest.mark.parametrize(
    ("selector", "kept"),
    [
        (".btn", True),
        (".btn:not(.collapsed)", True),
        ("[data-bs-theme=dark] .btn", True),
        ("table", True),
        (".btn.active", False),
        (".accordion", False),
    ],
)
def test_a_selector_is_kept_if_all_its_classes_are_used(selector: str, kept: bool) -> None:
    assert bootstrap_css.is_used(selector, frozenset({"btn"})) is kept


def template(folder: Path, text: str) -> None:
    (folder / "panel" / "templates").mkdir(parents=True)
    (folder / "panel" / "templates" / "page.html").write_text(text)


def test_classes_in_expressions_and_scripts_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template(
        tmp_path, """<p class="btn {{ 'btn-primary' if card else 'btn-link' }}{% if nav %} ms-2{% endif %}">badge</p>"""
    )
    (tmp_path / "panel" / "static").mkdir()
    (tmp_path / "panel" / "static" / "x.js").write_text('a.classList.add("show"); b.className = "alert"; c = "toast"')
    monkeypatch.setattr(bootstrap_css, "ROOT", tmp_path)

    assert bootstrap_css.used_classes(WHOLE) == {"btn", "btn-primary", "btn-link", "ms-2", "show", "alert"}


def test_a_class_of_bootstrap_must_stand_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template(tmp_path, '<p class="lp-{{ kind }} btn-{{ kind }}"></p>')
    monkeypatch.setattr(bootstrap_css, "ROOT", tmp_path)

    with pytest.raises(bootstrap_css.AssembledClass, match="start with btn-"):
        bootstrap_css.used_classes(WHOLE)
