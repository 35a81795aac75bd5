"""The page that lists the objects with links and opens any object by its reference."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug import Response

from panel.core.domain import ObjectRef
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.links.object_list import find_objects
from panel.web.context import panel
from panel.web.parsing import SEARCH_LENGTH, positive, search_text

Page = str | tuple[str, int] | Response

REFERENCE = (
    ("register", _("Register"), _("The collection of the application that has the object."), "permits"),
    ("schema", _("Schema"), _("The kind of object within it."), "case"),
    ("object_id", _("Object id"), _("The number or code by which the application knows this one."), "Z-2026-0148"),
)
"""Name, label, help and example of each part of an object's reference."""
EXAMPLE = ObjectRef("demo", "case", "1")
"""An object of no application, on which a new connection can be tried."""


def objects() -> Page:
    """The list; with ``register``, ``schema`` and ``object_id`` a redirect to that object."""
    typed = {name: request.args.get(name, "").strip() for name, *_rest in REFERENCE}
    submitted = any(typed.values())
    errors = {
        name: _("{label} is missing.", label=label)
        for name, label, *_rest in REFERENCE
        if submitted and not typed[name]
    }
    if submitted and not errors:
        return redirect(url_for("objects.page", **typed), 303)  # type: ignore[arg-type]
    values = {"typed": typed, "errors": errors, "fields": REFERENCE, "example": EXAMPLE}
    return render_template("admin/objects.html", **values, **_list()), 422 if errors else 200


def _list() -> dict[str, Any]:
    """The list that the query parameters ask for; a page number that is none leads to the first page."""
    words = search_text("text", request.args.get("text", ""), SEARCH_LENGTH)
    leaf = panel().registry.find(request.args.get("integration", ""))
    try:
        number = positive("page", request.args.get("page"), 1)
    except InvalidInput:
        number = 1
    found = find_objects(words, leaf.id if leaf else "", number)
    integration = leaf.id if leaf else None
    return {
        "found": found,
        "text": words,
        "chosen": leaf,
        "leaves": panel().registry.all(),
        "previous": _page_url(words, integration, number - 1) if number > 1 else None,
        "following": _page_url(words, integration, number + 1) if found.has_next else None,
    }


def _page_url(words: str, integration: str | None, number: int) -> str:
    return url_for("admin.objects", text=words or None, integration=integration, page=number)
