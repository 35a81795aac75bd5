"""Renders the tab as a page, or as a fragment for htmx, from the same templates."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, make_response, render_template, request
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, Template, TemplateSyntaxError
from markupsafe import Markup

from panel.integrations.contract import Integration
from panel.integrations.descriptor import BrokenDescriptor
from panel.integrations.registry import Registry
from panel.web.context import request_id, searched_beside
from panel.web.htmx import vary_on_fragment, wants_fragment
from panel.web.tab.columns import Columns
from panel.web.tab.freshness import EVERY_S, list_tag
from panel.web.tab.list_view import ListView, list_view
from panel.web.tab.view_models import Tab, strip
from panel.web.tab.visit import Visit

LEAF_TEMPLATES = "leaves"
ROW_TEMPLATE = "row.html"


def install(app: Flask, registry: Registry) -> None:
    """Make the row templates of the leaves available, with escaping.

    Raises BrokenDescriptor naming the file and line of a template that cannot be parsed.
    """
    own = [leaf for leaf in registry.all() if leaf.folder is not None and (leaf.folder / ROW_TEMPLATE).is_file()]
    folders = PrefixLoader({leaf.id: FileSystemLoader(str(leaf.folder)) for leaf in own})
    panel_templates = app.jinja_env.loader
    assert panel_templates is not None  # noqa: S101 (Flask always sets it)
    app.jinja_env.loader = ChoiceLoader([panel_templates, PrefixLoader({LEAF_TEMPLATES: folders})])
    for leaf in own:
        try:
            app.jinja_env.get_template(_own_template(leaf))
        except TemplateSyntaxError as exc:
            raise BrokenDescriptor(f"{leaf.id}/{ROW_TEMPLATE}, line {exc.lineno}: {exc.message}") from exc


def _own_template(leaf: Integration) -> str:
    return f"{LEAF_TEMPLATES}/{leaf.id}/{ROW_TEMPLATE}"


def show(
    here: Visit, mode: str, *, status: int = 200, leaf: Integration | None = None, tabs: list[Tab] | None = None,
    **shown: Any,
) -> Response:  # fmt: skip
    """Render the whole tab. ``mode`` names the template of the part below the strip."""
    fragment = wants_fragment()
    tabs = tabs if tabs is not None else strip(here, leaf.id if leaf else "")
    context = {**_common(here, leaf, late=fragment), "mode": mode, "tabs": tabs, "every_s": EVERY_S}
    frame = {"theme": here.theme, "background": here.background, "csrf_needed": here.needs_csrf}
    frame |= {"bearer": here.token, "now_s": int(time.time())}
    page = render_template("tab/_tab.html" if fragment else "tab/page.html", **{**frame, **context, **shown})
    return vary_on_fragment(make_response(page, status))


def show_part(here: Visit, name: str, leaf: Integration, *, status: int = 200, **shown: Any) -> Response:
    """Render one part of the tab."""
    page = render_template(name, **{**_common(here, leaf, late=True), **shown})
    return vary_on_fragment(make_response(page, status))


def part(here: Visit, name: str, leaf: Integration, **shown: Any) -> Markup:
    """The HTML of one part about ``leaf``, for the page of another leaf."""
    return Markup(render_template(name, **{**_common(here, leaf, late=False), **shown}))  # noqa: S704 (rendered)


def show_list(
    here: Visit, leaf: Integration, shown: ListView | None = None, *, status: int = 200, fresh: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None, **more: Any,
) -> Response:  # fmt: skip
    """Render the list of a leaf. A list with a problem has the status 503, unless ``status`` is another error.

    304 for an open tab that shows this list already.
    """
    shown = shown or list_view(here, leaf, fresh=fresh)
    problem = shown.listing.problem
    status = 503 if problem is not None and status == 200 else status
    tabs = strip(here, leaf.id, problem)
    tag = list_tag(here, shown, tabs)
    if tag and wants_fragment() and request.headers.get("If-None-Match") == f'"{tag}"':
        return vary_on_fragment(Response(status=304, headers={"ETag": f'"{tag}"'}))
    response = show(here, "list", leaf=leaf, tabs=tabs, status=status, list_view=shown, tag=tag, **more)
    response.headers.update(headers or {})
    return response


def _common(here: Visit, leaf: Integration | None, *, late: bool) -> dict[str, Any]:
    """The variables of every template of the tab. ``late`` is True for a part that is added to a loaded page."""
    return {
        "visit": here, "leaf": leaf, "card": leaf.descriptor if leaf else None, "late": late,
        "row_template": _row_template(leaf), "columns": Columns(leaf) if leaf else None, "reference": request_id(),
        "list_view": None, "banner": None, "problem_view": None, "query": "", "focus": "", "left": (), "tag": "",
        "replacing": request.args.get("replace", "") if leaf else "",
        "beside": searched_beside(here.principal, leaf) if leaf else (), "titles_only": False,
    }  # fmt: skip


def _row_template(leaf: Integration | None) -> Template:
    """The template of a leaf's rows: its own, or the default one, which shows the columns."""
    own = [_own_template(leaf)] if leaf is not None else []
    return current_app.jinja_env.select_template([*own, "integrations/_item.html"])
