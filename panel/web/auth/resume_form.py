"""Resumes a form of the tab that was submitted after its session had expired.

The submitted fields are sealed into the sign-in form, and can be submitted again after signing in. This covers only
the tab's forms: they hold the longest texts, and no secrets.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import g, request, url_for
from itsdangerous import BadData, URLSafeTimedSerializer

from panel.web.auth.session import current_path
from panel.web.context import panel

FIELD = "kept"
WHOLE_HEADER = "X-Leafpanel-Send-Whole"
"""Makes the tab's script submit the form again as a full page load, which can show the sign-in form."""
_MAX_AGE_S = 3600
_BLUEPRINT = "objects"


@dataclass(frozen=True, slots=True)
class ResumeForm:
    """The fields of a submitted form, and its address."""

    action: str
    back: str
    """The page that contained the form."""
    fields: tuple[tuple[str, str], ...]


def is_resumable() -> bool:
    """Whether this request submits a form that can be resumed."""
    return request.method == "POST" and request.blueprint == _BLUEPRINT


def seal() -> str:
    """The form of this request as one signed text for the sign-in form. The signature proves that it is the panel's."""
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != "csrf_token"]
    return str(_sealer().dumps([current_path(), _page(), fields]))


def unseal(sealed: str) -> ResumeForm | None:
    """The form in a sealed text; None when its signature is invalid or it is older than an hour."""
    try:
        action, back, fields = _sealer().loads(sealed, max_age=_MAX_AGE_S)
    except BadData:
        return None
    return ResumeForm(action, back, tuple((name, value) for name, value in fields))


def _page() -> str:
    integration = (request.view_args or {}).get("integration")
    if integration is None:
        return url_for(f"{_BLUEPRINT}.page", **g.place)
    return url_for(f"{_BLUEPRINT}.listing", **g.place, integration=integration)


def _sealer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(panel().config.secret_key, salt="leafpanel kept form")
