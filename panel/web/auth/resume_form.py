"""A form of the tab that was sent after its session had ended: it goes along through signing in, to be sent again.

Only the tab's forms are kept. None of them holds a secret, and they are where people write at length.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import g, request, url_for
from itsdangerous import BadData, URLSafeTimedSerializer

from panel.web.auth.session import here
from panel.web.context import panel

FIELD = "kept"
WHOLE_HEADER = "X-Leafpanel-Send-Whole"
"""Asks the script of the tab to send the form once more as a whole page, on which somebody can sign in."""
_KEEPS_S = 3600
_BLUEPRINT = "objects"


@dataclass(frozen=True, slots=True)
class KeptForm:
    """What was typed, and where it was going."""

    action: str
    back: str
    """The page on which it was typed."""
    fields: tuple[tuple[str, str], ...]


def is_kept() -> bool:
    """Whether this request brings a form that is worth carrying through signing in."""
    return request.method == "POST" and request.blueprint == _BLUEPRINT


def seal() -> str:
    """The form of this request as one sealed text for the sign-in form. The seal shows that it came from here."""
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != "csrf_token"]
    return str(_sealer().dumps([here(), _page(), fields]))


def unseal(sealed: str) -> KeptForm | None:
    """None for what is not ours, or too old."""
    try:
        action, back, fields = _sealer().loads(sealed, max_age=_KEEPS_S)
    except BadData:
        return None
    return KeptForm(action, back, tuple((name, value) for name, value in fields))


def _page() -> str:
    integration = (request.view_args or {}).get("integration")
    if integration is None:
        return url_for(f"{_BLUEPRINT}.page", **g.place)
    return url_for(f"{_BLUEPRINT}.listing", **g.place, integration=integration)


def _sealer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(panel().config.secret_key, salt="leafpanel kept form")
