"""The page of creates without an answer and of changes without a record, where an administrator settles them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from panel.core.errors import PanelError
from panel.core.messages import _
from panel.links import open_creates, open_updates
from panel.storage.models import OpenCreate, OpenUpdate
from panel.web.admin.audit import object_path
from panel.web.context import admitted, panel, visitor
from panel.web.error_bodies import status_of

bp = Blueprint("creates", __name__)

UNDER_WAY = _("May be under way")
"""The state of a row that cannot be settled yet."""


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
        return _page(failed=create_id, typed=typed, message=exc.message), status_of(exc)
    flash(_("Linked {reference}.", reference=row.pointer.reference))
    return redirect(url_for("admin.creates.index"), 303)


@bp.post("/creates/<int:create_id>/absent")
def absent(create_id: int) -> Any:
    """Say that a create made nothing. Its idempotency key is free again."""
    panel().links.settle_absent(visitor(admitted(), "admin"), open_creates.find(create_id))
    flash(_("The create is settled: nothing was created."))
    return redirect(url_for("admin.creates.index"), 303)


@bp.post("/creates/updates/<int:update_id>")
def settle_update(update_id: int) -> Any:
    """Say whether a change without a record was made."""
    is_made = request.form.get("value") == "changed"
    panel().links.settle_update(visitor(admitted(), "admin"), open_updates.find(update_id), is_made=is_made)
    flash(_("The change is recorded.") if is_made else _("The change is settled: nothing was changed."))
    return redirect(url_for("admin.creates.index"), 303)


def _page(**shown: Any) -> str:
    rows = [(opened, object_path(opened), _state(opened)) for opened in open_creates.all_open()]
    updates = [(opened, object_path(opened), _state_of_update(opened)) for opened in open_updates.all_open()]
    leaves = {leaf.id: leaf.descriptor for leaf in panel().registry.all()}
    values = {"rows": rows, "updates": updates, "leaves": leaves, "under_way": UNDER_WAY, "failed": None, **shown}
    return render_template("admin/creates.html", **values)


def _state(opened: OpenCreate) -> str:
    if opened.reference:
        return _("Created, not linked")
    if opened.is_unanswered:
        return _("No answer")
    return UNDER_WAY if open_creates.is_under_way(opened) else _("Cut off")


def _state_of_update(opened: OpenUpdate) -> str:
    if opened.is_made:
        return _("Changed, not recorded")
    return UNDER_WAY if open_updates.is_under_way(opened) else _("Cut off")
