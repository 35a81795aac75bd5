"""The tab inside other applications: the same views, let in by a token of theirs, without a cookie."""

from __future__ import annotations

from typing import Any

from flask import render_template

from panel.web.auth.bearer import Unauthorized
from panel.web.tab.views import blueprint
from panel.web.tab.visit import EMBEDDED

bp = blueprint(EMBEDDED, "/embed")


def _unauthorized(exc: Unauthorized) -> Any:
    words = "Load the page around it again. If that does not help, the application that shows it has to be set up anew."
    page = render_template("error.html", title="This view has expired", message=words, status=401)
    return page, 401, {"WWW-Authenticate": 'Bearer realm="Leafpanel"'}


bp.register_error_handler(Unauthorized, _unauthorized)
