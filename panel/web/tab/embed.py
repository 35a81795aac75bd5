"""The tab inside an iframe of another application: the same views with an embed token and without a cookie."""

from __future__ import annotations

from typing import Any

from flask import render_template

from panel.core.messages import _
from panel.web.auth.bearer import Unauthorized
from panel.web.tab.blueprint import blueprint
from panel.web.tab.visit import EMBEDDED

bp = blueprint(EMBEDDED, "/embed")


def _unauthorized(exc: Unauthorized) -> Any:
    message = _("Reload the page. If that does not help, the application that shows this view must renew its set-up.")
    page = render_template("error.html", title=_("This view has expired"), message=message, status=401)
    return page, 401, {"WWW-Authenticate": 'Bearer realm="Leafpanel"'}


bp.register_error_handler(Unauthorized, _unauthorized)
