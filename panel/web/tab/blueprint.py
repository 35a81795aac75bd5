"""The tab as a blueprint: all of its views below an address that identifies the object."""

from __future__ import annotations

from flask import Blueprint

from panel.web.tab import create_views, edit_views, pointer_views, search_views, views
from panel.web.tab.visit import take_object_reference


def blueprint(name: str, url_prefix: str) -> Blueprint:
    tab = Blueprint(name, __name__, url_prefix=f"{url_prefix}/<part:register>/<part:schema>/<part:object_id>")
    tab.url_value_preprocessor(take_object_reference)
    for module in (views, search_views, create_views, edit_views, pointer_views):
        for method, rule, view in module.views.rules:
            tab.add_url_rule(rule, view_func=view, methods=[method])
    return tab


bp = blueprint("objects", "/objects")
"""The tab for signed-in people."""
