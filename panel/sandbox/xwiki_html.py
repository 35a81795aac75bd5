"""Browser pages of the stand-in. Each has a sandbox banner and escapes all text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from panel.sandbox.xwiki_page import HOME, Page, Reference
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
    reference, addresses = page.reference, views.addresses
    breadcrumb = [escape(item["label"]) for item in views.hierarchy(reference, page.plain_title)["items"][1:]]
    attributes = (
        f' data-xwiki-reference="{escape(reference.id)}"'
        f' data-xwiki-rest-url="{escape(addresses.page(reference).removeprefix(addresses.base))}"'
    )
    body = (
        f'<nav><a href="{escape(addresses.context)}/">All pages</a> · {" › ".join(breadcrumb)}</nav>'
        f"<h1>{escape(page.plain_title)}</h1><pre>{escape(page.content)}</pre>"
        f"<footer>{escape(reference.id)} · version {page.version} · "
        f"{escape(views.wiki.display_name(page.author))}, {page.date:%Y-%m-%d %H:%M} UTC</footer>"
    )
    return document(page.plain_title, body, attributes=attributes)


def index_document(pages: Iterable[Page], views: Views) -> Response:
    rows = "".join(
        f'<li><a href="{escape(views.addresses.view(page.reference))}">{escape(page.plain_title)}</a>'
        f" <code>{escape(page.reference.id)}</code></li>"
        for page in pages
    )
    footer = f"<footer>REST: <code>{escape(views.addresses.rest('/'))}</code></footer>"
    return document("Pages", f"<h1>Pages</h1><ul>{rows}</ul>{footer}")


# --- which page ------------------------------------------------------------------------------------------------

VIEW_ACTIONS = ("view", "edit", "inline", "get", "viewrev")


def browser_page(parts: list[str], views: Views, view_path: str) -> Response:
    """Answer a browser, which is a guest. ``view_path`` is what the addresses of pages have before their names."""
    if parts == [""]:
        visible = [page for page in views.wiki.in_order() if views.wiki.may_view(None, page.reference)]
        return index_document((page for page in visible if not page.hidden), views)
    names = _page_names(parts, view_path)
    if names is None:
        return message("Not in this sandbox", 404)
    page = _page_at(names, views)
    if page is None:
        return message("The requested page could not be found", 404)
    if not views.wiki.may_view(None, page.reference):
        return message("You are not allowed to view this page", 401)
    if page.redirect is not None:
        return redirect(views.addresses.view(page.redirect))
    return page_document(page, views)


def _page_names(parts: list[str], view_path: str) -> list[str] | None:
    """The names of a page in a path: after an action, or after the start of short URLs."""
    if parts[0] == "bin" and len(parts) > 1 and parts[1] in VIEW_ACTIONS:
        return parts[2:]
    short = [part for part in view_path.split("/") if part]
    return parts[len(short) :] if short != ["bin", "view"] and parts[: len(short)] == short else None


def _page_at(names: list[str], views: Views) -> Page | None:
    """Find the terminal page, otherwise the home page of the space with that name."""
    if names and names[-1] != "":
        terminal = Reference(tuple(names[:-1]), names[-1])
        if terminal in views.wiki.pages:
            return views.wiki.pages[terminal]
    spaces = tuple(name for name in names if name) or ("Main",)
    return views.wiki.pages.get(Reference(spaces, HOME))
