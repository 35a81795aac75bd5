"""The page of creates without an answer: each is linked, or said not to be there."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from panel.core.errors import PanelError
from panel.links import open_creates
from panel.storage.models import OpenCreate
from panel.web.admin.audit import object_path
from panel.web.context import admitted, panel, visitor
from panel.web.error_bodies import status_of

bp = Blueprint("creates", __name__)


@bp.get("/creates")
def index() -> Any:
    return _page()


@bp.post("/creates/<int:create_id>/link")
def link(create_id: int) -> Any:
    """Link the item that a create made. After a failure the page shows the reason and keeps what was typed."""
    typed = request.form.get("reference", "")[:2000]
    try:
        row = panel().links.settle_created(visitor(admitted(), "admin"), open_creates.find(create_id), typed)
    except PanelError as exc:
        return _page(failed=create_id, typed=typed, message=str(exc)), status_of(exc)
    flash(f"Linked {row.pointer.reference}.")
    return redirect(url_for("admin.creates.index"), 303)


@bp.post("/creates/<int:create_id>/absent")
def absent(create_id: int) -> Any:
    """Say that a create made nothing. Its idempotency key is free again."""
    panel().links.settle_absent(visitor(admitted(), "admin"), open_creates.find(create_id))
    flash("The create is settled: nothing was created.")
    return redirect(url_for("admin.creates.index"), 303)


def _page(**shown: Any) -> str:
    rows = [(opened, object_path(opened), _state(opened)) for opened in open_creates.all_open()]
    leaves = {leaf.id: leaf.descriptor for leaf in panel().registry.all()}
    return render_template("admin/creates.html", rows=rows, leaves=leaves, **{"failed": None, **shown})


def _state(opened: OpenCreate) -> str:
    if opened.reference:
        return "Created, not linked"
    if opened.is_unanswered:
        return "No answer"
    return "May be under way" if open_creates.is_under_way(opened) else "Cut off"
