"""Browser pages of the stand-in. Each has a sandbox banner and escapes all text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from werkzeug.wrappers import Response

from panel.sandbox.xwiki_state import Page
from panel.sandbox.xwiki_views import Views

BANNER = "Sandbox stand-in of xWiki – not a real wiki"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1b1f24; background: #fff; }
header { background: #7a4b00; color: #fff; padding: .6rem 1.5rem; font-weight: 600; }
main { max-width: 52rem; margin: 0 auto; padding: 1rem 1.5rem 3rem; }
nav, footer { color: #57606a; font-size: .9rem; }
a { color: #1a5fb4; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f8fa; border: 1px solid #d0d7de; padding: 1rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; } a { color: #7ab7ff; } nav, footer { color: #9198a1; }
  pre { background: #161b22; border-color: #30363d; }
}
"""


def document(title: str, body: str, status: int = 200, *, attributes: str = "") -> Response:
    """Render a complete page around ``body``, which is markup."""
    text = (
        f'<!doctype html><html lang="nl"{attributes}><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} – sandbox</title><style>{_STYLE}</style></head>"
        f'<body><header role="banner">{BANNER}</header><main>{body}</main></body></html>'
    )
    response = Response(text, status, content_type="text/html;charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def message(title: str, status: int) -> Response:
    return document(title, f"<h1>{escape(title)}</h1>", status)


def page_document(page: Page, views: Views) -> Response:
    """Render a page: title, breadcrumb and source text."""
    reference = page.reference
    breadcrumb = [escape(item["label"]) for item in views.hierarchy(reference)["items"][1:]]
    attributes = (
        f' data-xwiki-reference="{escape(reference.id)}"'
        f' data-xwiki-rest-url="{escape(views.page_address(reference).removeprefix(views.base))}"'
    )
    body = (
        f'<nav><a href="{escape(views.context)}/">All pages</a> · {" › ".join(breadcrumb)}</nav>'
        f"<h1>{escape(page.plain_title)}</h1><pre>{escape(page.content)}</pre>"
        f"<footer>{escape(reference.id)} · version {page.version} · "
        f"{escape(views.wiki.display_name(page.author))}, {page.date:%Y-%m-%d %H:%M} UTC</footer>"
    )
    return document(page.plain_title, body, attributes=attributes)


def index_document(pages: Iterable[Page], views: Views) -> Response:
    rows = "".join(
        f'<li><a href="{escape(views.view_path(page.reference))}">{escape(page.plain_title)}</a>'
        f" <code>{escape(page.reference.id)}</code></li>"
        for page in pages
    )
    footer = f"<footer>REST: <code>{escape(views.rest('/'))}</code></footer>"
    return document("Pages", f"<h1>Pages</h1><ul>{rows}</ul>{footer}")
