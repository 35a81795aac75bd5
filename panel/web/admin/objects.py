"""The page that lists the objects with links and opens any object by its reference."""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from werkzeug import Response

from panel.core.messages import _
from panel.web.context import panel

Page = str | tuple[str, int] | Response

REFERENCE = (("register", _("Register")), ("schema", _("Schema")), ("object_id", _("Object id")))


def objects() -> Page:
    """The list; with ``register``, ``schema`` and ``object_id`` a redirect to that object."""
    typed = {name: request.args.get(name, "").strip() for name, _label in REFERENCE}
    submitted = any(typed.values())
    errors = {name: _("{label} is missing.", label=label) for name, label in REFERENCE if submitted and not typed[name]}
    if submitted and not errors:
        return redirect(url_for("objects.page", **typed), 303)  # type: ignore[arg-type]
    values = {"typed": typed, "errors": errors, "fields": REFERENCE}
    return render_template("admin/objects.html", found=panel().links.objects(), **values), 422 if errors else 200
