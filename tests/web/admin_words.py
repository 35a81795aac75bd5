"""What the admin pages may show outside of translated texts, and the check of a page."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient
from pages import post
from web.pseudo import untranslated
from werkzeug.test import TestResponse

from panel.core.reasons import Reason
from panel.web.translations import LANGUAGES

NAMES = (
    "Leafpanel", "OpenProject", "xWiki", "openproject", "xwiki", "OAuth 2.0", "alice", "Noor V.", "Bob", "apikey",
    "leafpanel", "permits", "Z-2026-0148", "Wiki", "Tracker", "Intranet", "intranet", "Cases", "demo", "case", "zaken", "script", "Uma User",
    "Werkzeug", "Agent 7", "Python", "PHP", "JavaScript", "Java", "C#", "PANEL_CONNECTOR_ENABLED", "X-Gate", "somewhere",
    "wrong", "root", "nobody", "perhaps", "cobol", "king", "fly", "bob", "07. Dev", "wiki, terminal", "none, basic, token, oauth2", "WIKI", "sub",
)  # fmt: skip
"""Products, and names of people, sources, applications and objects."""

CODES = (
    "view", "link", "create", "update", "unlink", "read", "write", "admin", "viewer", "editor", "tab", "test", "json",
    "api", "console", "embed", "session", "register", "schema", "register/schema/id", "GET", "POST", "Authorization",
    "openid", "api_v3", "true", "false", "objectId", "subject", "enabled", "location", "description", "auth.password",
    "rate_limit", "60/minute", "https", "UTC", "token", "name", "auth", "key-1", "key-2", "lpk_1",
    *(reason.value for reason in Reason),
)  # fmt: skip
"""Words that programs read: rights, roles, faces, methods, reasons and names of fields."""

PATTERNS = (
    *(rf"(?<!\w){re.escape(word)}(?!\w)" for word in (*NAMES, *CODES, *LANGUAGES.values())),
    r"https?://\S+", r"/\S+", r"LP-[\w-]+", r"lpk_\w+", r"\w+: needs a value", r"[\w-]+\.yaml", r"\.yaml",
    r"\d+(\.\d+)? (B|kB|MB|ms|s|min)\b", r"\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)( \d{4})?",
    r"xwiki:[\w.]+", r"tracker:8080", r"127\.0\.0\.1\S*", r"PANEL_\w+", r"“[\w.-]+",
    r"\w+/(plain|html|json)", r"HTML|HTTP|TLS|JSON",
)  # fmt: skip
"""What may stand outside of translated texts."""

PAGES = (
    "/admin/", "/admin/sources", "/admin/new-source", "/admin/sources/xwiki", "/admin/sources/openproject",
    "/admin/import-source", "/admin/connect", "/admin/objects", "/admin/embedding", "/admin/tokens", "/admin/people", "/admin/audit",
    "/admin/calls", "/admin/creates", "/admin/password", "/admin/connector",
)  # fmt: skip


def check(answer: TestResponse, *statuses: int) -> str:
    """The page is shown, and all of it in the made-up language. What people typed and code is no text of ours."""
    assert answer.status_code in (statuses or (200,)), answer.text[:2000]
    shown = re.sub(r"<(pre|textarea)\b([^>]*)>.*?</\1>", r"<\1\2></\1>", answer.text, flags=re.DOTALL)
    assert "⟦" in shown
    english = untranslated(shown, PATTERNS)
    assert not english, "\n".join(english)
    return answer.text


def sent(client: FlaskClient, path: str, *statuses: int, **typed: Any) -> str:
    """Send a form of a page, and check the page that answers, which may be behind a redirect."""
    values = {name.replace("__", "."): value for name, value in typed.items()}
    return check(post(client, path, values, follow_redirects=True), *statuses)
