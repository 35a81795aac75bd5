"""The page that imports a source from YAML, and the templates that it offers."""

from __future__ import annotations

import os

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug import Response as AnyResponse

from panel.config import PROJECT_ROOT
from panel.core.errors import Conflict, InvalidInput, NotFound
from panel.core.messages import _
from panel.web.admin.import_form import without_secrets
from panel.web.context import acting, panel

bp = Blueprint("files", __name__)

TEMPLATES = PROJECT_ROOT / "docs" / "templates"
REPLACED = _("The source “{slug}” is replaced by the imported one.")


def template_names() -> list[str]:
    return sorted(path.name for path in TEMPLATES.glob("*.yaml"))


def attachment(text: str, name: str) -> Response:
    """A download of a YAML file called ``name``."""
    response = Response(text, content_type="text/yaml; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@bp.get("/sources/templates/<name>.yaml")
def template(name: str) -> Response:
    if f"{name}.yaml" not in template_names():
        raise NotFound(_("There is no such template."))
    return attachment((TEMPLATES / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")


@bp.route("/import-source", methods=["GET", "POST"])
def load() -> str | tuple[str, int] | AnyResponse:
    if request.method == "GET":
        return _page()
    upload = request.files.get("file")
    text: str | bytes = upload.read() if upload is not None and upload.filename else request.form.get("text", "")
    if not text.strip():
        return _page(error=InvalidInput("file", _("Choose a file or paste its text."))), 422
    try:
        saved, notes = panel().sources.import_file(text, by=acting(), environ=_environment())
    except InvalidInput as exc:
        return _page(text, exc), 422
    except Conflict as exc:
        return _page(text, InvalidInput("file", exc.message)), 409
    for line in (*saved.warnings, *notes):
        flash(line, "warn")
    done = _("The source “{slug}” is imported.") if saved.created else REPLACED
    flash(done.filled(slug=saved.source.slug))
    return redirect(url_for("admin.sources.edit", slug=saved.source.slug), 303)


def _page(text: str | bytes = "", error: InvalidInput | None = None) -> str:
    typed = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    shown = without_secrets(typed)
    return render_template("admin/import.html", text=shown, cut=shown != typed, error=error, templates=template_names())


def _environment() -> dict[str, str]:
    """The variables that ``${NAME}`` may name. An administrator of the panel must not read the server's environment."""
    return {name: os.environ[name] for name in panel().config.import_variables if name in os.environ}
