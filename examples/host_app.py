"""A host application in one file: it signs tokens with the standard library and embeds Leafpanel's tab in its pages.

pip install Flask
export LEAFPANEL_URL=http://127.0.0.1:8000 LEAFPANEL_KID=… LEAFPANEL_SECRET=…
flask --app examples/host_app run --port 5000
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from urllib.parse import quote

from flask import Flask, abort

PANEL = os.environ["LEAFPANEL_URL"].rstrip("/")
KID = os.environ["LEAFPANEL_KID"]
SECRET = os.environ["LEAFPANEL_SECRET"]
MINUTES = float(os.environ.get("LEAFPANEL_MINUTES", "10"))

CASES = {"1": "Dakkapel Kerkstraat 12", "2": "Boom kappen Dorpsplein"}

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<h1>{title}</h1>
<leafpanel-tab id="linked" src="/cases/{case}/leafpanel-url"></leafpanel-tab>
<p id="after">Content below the tab moves with its height.</p>
<script src="{panel}/static/embed.v1.js" defer></script>
</html>"""

app = Flask(__name__)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(user: str, register: str, schema: str, object_id: str) -> str:
    """A JSON Web Token, signed with HMAC-SHA256."""
    header = {"alg": "HS256", "typ": "JWT", "kid": KID}
    claims = {
        "aud": "leafpanel",
        "exp": int(time.time() + MINUTES * 60),
        "sub": user,
        "register": register,
        "schema": schema,
        "objectId": object_id,
        "can": ["view", "link", "create", "update", "unlink"],
    }
    body = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{body}.{encoded(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest())}"


@app.get("/cases/<case>")
def case_page(case: str) -> str:
    title = CASES.get(case) or abort(404)
    return PAGE.format(title=title, case=case, panel=PANEL)


@app.get("/cases/<case>/leafpanel-url")
def leafpanel_url(case: str) -> tuple[str, dict[str, str]]:
    """Return the URL of the tab. A real application checks here, as for the page, that the user may see the case."""
    if case not in CASES:
        abort(404)
    object_path = "/".join(quote(part, safe="") for part in ("demo", "case", case))
    url = f"{PANEL}/embed/{object_path}?token={token('alice', 'demo', 'case', case)}"
    return url, {"Content-Type": "text/plain", "Cache-Control": "no-store"}
