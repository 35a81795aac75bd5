"""The tab inside an iframe of another application: the same views with an embed token and without a cookie."""

from __future__ import annotations

from typing import Any

from flask import render_template

from panel.core.messages import _
from panel.web.auth.bearer import Unauthorized
from panel.web.auth.rules import presented_token
from panel.web.tab.blueprint import blueprint
from panel.web.tab.visit import EMBEDDED

bp = blueprint(EMBEDDED, "/embed")


EXPIRED = _("Reload the page. If that does not help, the application that shows this view must renew its set-up.")
OUTSIDE = _("The address of this view holds only inside the application that shows it. Open the page there.")


def _unauthorized(exc: Unauthorized) -> Any:
    if presented_token():
        title, message = _("This view has expired"), EXPIRED
    else:
        title, message = _("This view belongs to an application"), OUTSIDE
    page = render_template("error.html", title=title, message=message)
    return page, 401, {"WWW-Authenticate": 'Bearer realm="Leafpanel"'}


bp.register_error_handler(Unauthorized, _unauthorized)
