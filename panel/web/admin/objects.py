"""The list of objects that have links, and the way to any other object."""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from werkzeug import Response

from panel.web.context import panel

Page = str | tuple[str, int] | Response


REFERENCE = (("register", "Register"), ("schema", "Schema"), ("object_id", "Object id"))


def objects() -> Page:
    """Objects that have links, and a way to any other object."""
    typed = {name: request.args.get(name, "").strip() for name, _ in REFERENCE}
    asked = any(typed.values())
    errors = {name: f"{label} is missing." for name, label in REFERENCE if asked and not typed[name]}
    if asked and not errors:
        return redirect(url_for("objects.page", **typed), 303)  # type: ignore[arg-type]
    found = panel().links.objects()
    shown = {"typed": typed, "errors": errors, "fields": REFERENCE}
    return render_template("admin/objects.html", found=found, **shown), 422 if errors else 200
