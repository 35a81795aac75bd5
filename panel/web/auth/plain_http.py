"""Detects a browser that shows the panel over plain http although its public address is https.

The cookies of an https address are marked Secure. Such a browser never returns them, so that nobody can sign in.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

from panel.core.messages import _
from panel.web.auth.same_origin import LOOPBACK
from panel.web.context import panel

_HINTS = ("X-Forwarded-Proto", "X-Forwarded-Scheme", "Forwarded")
"""Headers of a proxy. They may be forged, and decide only whether a sentence is shown."""


def address_to_sign_in() -> str:
    """The public address, for a browser that cannot sign in here; "" for any other."""
    config = panel().config
    return config.public_url if config.is_encrypted and _is_plain() else ""


def cannot_sign_in() -> str:
    """Why a browser cannot sign in here; "" if it can."""
    address = address_to_sign_in()
    if not address:
        return ""
    return _("This page was opened over plain http, where signing in cannot work. Open {address}.", address=address)


def _is_plain() -> bool:
    """Browsers send ``Sec-Fetch-Site`` over https only, and keep Secure cookies of loopback over http."""
    if request.is_secure or "Sec-Fetch-Site" in request.headers:
        return False
    if (urlsplit(f"//{request.host}").hostname or "") in LOOPBACK:
        return False
    return not any("https" in request.headers.get(name, "").lower() for name in _HINTS)
