"""Search results of xWiki, with titles that are rendered in hits of the database and plain in all others."""

from __future__ import annotations

from collections.abc import Iterable

from panel.sandbox.xwiki_addresses import Bean, link
from panel.sandbox.xwiki_page import HOME, WIKI, Page, Reference
from panel.sandbox.xwiki_solr import Hit
from panel.sandbox.xwiki_views import Views, display_title, milliseconds

SEARCH_TEMPLATE = (
    "q={keywords}(&scope={content|name|title|spaces|objects})*(&number={number})(&start={start})"
    "(&orderField={fieldname}(&order={asc|desc}))(&prettyNames={false|true})"
)
QUERY_TEMPLATE = (
    "q={query}(&type={type})(&number={number})(&start={start})(&orderField={fieldname}(&order={asc|desc}))"
    "(&distinct=1)(&prettyNames={false|true})(&wikis={wikis})(&className={classname})"
)
_HIT_KEYS = (
    "links", "type", "id", "pageFullName", "title", "wiki", "space", "pageName", "modified", "author", "authorName",
    "version", "language", "className", "objectNumber", "filename", "score", "object", "hierarchy",
)  # fmt: skip


def results(hits: Iterable[Bean], address: str, template: str) -> Bean:
    return {"links": [], "searchResults": list(hits), "template": f"{address}?{template}"}


def from_database(views: Views, page: Page) -> Bean:
    """A row of a database query: a rendered title, no score and no hierarchy. A translation has the page's title."""
    return _hit(views, page, display_title(_base(views, page)), author=page.author)


def keyword_from_database(views: Views, page: Page) -> Bean:
    hierarchy = views.hierarchy(page.reference, _base(views, page).plain_title)
    return from_database(views, page) | {"hierarchy": hierarchy}


def from_index(views: Views, hit: Hit) -> Bean:
    """A document of the index: the plain title as it was indexed, a score, and no hierarchy."""
    page = hit.page
    return _hit(views, page, page.plain_title, author=f"{WIKI}:{page.author}") | {"score": hit.score}


def keyword_from_index(views: Views, hit: Hit) -> Bean:
    return from_index(views, hit) | {"hierarchy": views.hierarchy(hit.page.reference, hit.page.plain_title)}


def space(views: Views, spaces: tuple[str, ...]) -> Bean:
    """A space: its local reference as id, and the plain title of its home."""
    home = Reference(spaces, HOME)
    page = views.wiki.pages.get(home)
    links = [link("space", views.addresses.linked_space(spaces))]
    if page is not None:
        links.append(link("home", views.addresses.linked_page(home)))
    title = page.plain_title if page else spaces[-1]
    known = {"links": links, "type": "space", "id": home.space, "title": title, "wiki": WIKI, "space": home.space}
    return {key: known.get(key) for key in _HIT_KEYS}


def _base(views: Views, page: Page) -> Page:
    """The page of a translation; the translation itself where the page was deleted."""
    return views.wiki.pages.get(page.reference, page)


def _hit(views: Views, page: Page, title: str, *, author: str) -> Bean:
    reference = page.reference
    tail = f"/translations/{page.language}" if page.language else ""
    known = {
        "links": [link("page", views.addresses.linked_page(reference, tail))],
        "type": "page",
        "id": reference.id,
        "pageFullName": reference.full_name,
        "title": title,
        "wiki": WIKI,
        "space": reference.space,
        "pageName": reference.name,
        "modified": milliseconds(page.date),
        "author": author,
        "authorName": views.pretty_name(author),
        "version": page.version,
        "language": page.language or None,
    }
    return {key: known.get(key) for key in _HIT_KEYS}
