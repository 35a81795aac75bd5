"""Installs hooks, blueprints, error handlers and template filters on a Flask application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect
from werkzeug.routing import IntegerConverter, Map

from panel.web import (
    error_pages,
    formatting,
    front_door,
    language,
    language_choice,
    log_lines,
    object_paths,
    page_compression,
    public_path,
    readiness,
    security_headers,
    static_files,
)
from panel.web.admin import blueprint as admin
from panel.web.api import blueprint as api
from panel.web.auth import cross_origin, proxies, rules, same_origin
from panel.web.auth.session import CookieSessions
from panel.web.context import begin_request, end_request
from panel.web.late_rules import LateRule
from panel.web.mcp import server as mcp
from panel.web.tab import blueprint as tab
from panel.web.tab import embed, render

csrf = CSRFProtect()

LARGEST_ID = 2**31 - 1
"""The largest id that a column can hold."""


class IdConverter(IntegerConverter):
    """A row's id in an address. A number that no column can hold leads nowhere, as any other unknown id."""

    regex = "[0-9]{1,10}"

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, **{"max": LARGEST_ID, **options})


def install(app: Flask) -> None:
    """Install everything. Hooks run in the order in which they are registered here."""
    app.url_rule_class = LateRule
    app.url_map.converters["int"] = IdConverter
    with_bearer_token = (api.bp, mcp.bp, embed.bp)
    app.session_interface = CookieSessions()
    static_files.install(app)
    object_paths.install(app)
    public_path.install(app, app.extensions["leafpanel"].config)
    app.before_request(begin_request)
    log_lines.install(app)
    same_origin.install(
        app,
        app.extensions["leafpanel"].config,
        without_session=tuple(blueprint.name for blueprint in with_bearer_token),
        under_any_name=readiness.ENDPOINTS,
    )
    proxies.install(app)
    cross_origin.install(app)
    app.before_request(rules.admit)
    csrf.init_app(app)
    security_headers.install(app)
    page_compression.install(app, without_session=(embed.bp.name,))
    app.after_request(end_request)
    language.install(app, app.extensions["leafpanel"].registry)
    language_choice.install(app)
    front_door.install(app)
    formatting.install(app)
    render.install(app, app.extensions["leafpanel"].registry)
    for blueprint in (api.bp, mcp.bp, tab.bp, embed.bp, admin.bp, readiness.bp):
        app.register_blueprint(blueprint)
    # Another site cannot make a browser send a bearer token, so these blueprints need no CSRF token.
    for blueprint in with_bearer_token:
        csrf.exempt(blueprint)
    rules.check(app)
    error_pages.install(app)
