"""Addresses of routes are built by functions that are compiled at their first use."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, url_for
from werkzeug.routing import Rule

from panel.web.late_rules import LateRule


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The routes for which Werkzeug compiled a function."""
    rules: list[str] = []
    original: Any = Rule._compile_builder

    def recorded(self: Rule, append_unknown: bool = True) -> Any:
        rules.append(self.rule)
        return original(self, append_unknown)

    monkeypatch.setattr(Rule, "_compile_builder", recorded)
    return rules


def test_a_route_is_compiled_when_its_address_is_built(compiled: list[str]) -> None:
    app = Flask(__name__, static_folder=None)
    app.url_rule_class = LateRule
    for name in ("one", "two"):
        app.add_url_rule(f"/{name}/<path:rest>", name)
    assert compiled == []

    with app.test_request_context():
        addresses = [url_for("one", rest="a b/c", q="ü"), url_for("one", rest="d")]

    assert addresses == ["/one/a%20b/c?q=%C3%BC", "/one/d"]
    assert compiled == ["/one/<path:rest>"]


def test_all_routes_of_the_panel_are_of_this_kind(app: Flask) -> None:
    assert {type(rule) for rule in app.url_map.iter_rules()} == {LateRule}
