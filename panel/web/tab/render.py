"""Drawing the tab: as a page, or alone for htmx, from the same templates."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, make_response, render_template, request
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, Template, TemplateSyntaxError

from panel.core.domain import Problem
from panel.integrations.contract import Integration
from panel.integrations.descriptor import BrokenDescriptor
from panel.integrations.registry import Registry
from panel.web.context import request_id
from panel.web.htmx import vary_on_fragment, wants_fragment
from panel.web.tab.columns import Columns
from panel.web.tab.view_models import ListView, list_view, strip
from panel.web.tab.visit import Visit

LEAF_TEMPLATES = "leaves"
ROW_TEMPLATE = "row.html"


def install(app: Flask, registry: Registry) -> None:
    """Let leaves bring a row template, escaped as all others are.

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
    here: Visit, mode: str, *, status: int = 200, leaf: Integration | None = None, problem: Problem | None = None,
    **shown: Any,
) -> Response:  # fmt: skip
    """The whole tab. ``mode`` names the template of what stands below the strip."""
    alone = wants_fragment()
    context = {**_common(here, leaf, late=alone), "mode": mode, "tabs": strip(here, leaf.id if leaf else "", problem)}
    frame = {"theme": here.theme, "background": here.background, "lang": here.lang, "csrf_needed": here.needs_csrf}
    frame |= {"bearer": here.token, "now_s": int(time.time())}
    page = render_template("tab/_tab.html" if alone else "tab/page.html", **{**frame, **context, **shown})
    return vary_on_fragment(make_response(page, status))


def show_part(here: Visit, name: str, leaf: Integration, *, status: int = 200, **shown: Any) -> Response:
    """A part of the tab by itself."""
    page = render_template(name, **{**_common(here, leaf, late=True), **shown})
    return vary_on_fragment(make_response(page, status))


def show_list(
    here: Visit, leaf: Integration, shown: ListView | None = None, *, status: int = 200, fresh: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None, **more: Any,
) -> Response:  # fmt: skip
    """The list of a leaf, or why it cannot be shown: a 503, unless something else went wrong before."""
    shown = shown or list_view(here, leaf, fresh=fresh, sort=request.args.get("sort"))
    problem = shown.listing.problem
    status = 503 if problem is not None and status == 200 else status
    answer = show(here, "list", leaf=leaf, problem=problem, status=status, list_view=shown, **more)
    answer.headers.update(headers or {})
    return answer


def _common(here: Visit, leaf: Integration | None, *, late: bool) -> dict[str, Any]:
    """What every template of the tab may use. ``late``: it arrives in a page that people are reading already."""
    return {
        "visit": here, "leaf": leaf, "card": leaf.descriptor if leaf else None, "rows": _rows(leaf), "late": late,
        "columns": Columns(leaf) if leaf else None, "reference": request_id(), "list_view": None, "banner": None,
        "problem_view": None, "query": "", "focus": "", "left": (),
    }  # fmt: skip


def _rows(leaf: Integration | None) -> Template:
    """The template that draws a leaf's rows: its own, or the default one, which draws the columns."""
    own = [_own_template(leaf)] if leaf is not None else []
    return current_app.jinja_env.select_template([*own, "integrations/_item.html"])
