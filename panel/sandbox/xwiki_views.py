"""The beans of xWiki's REST API: the state of a wiki with the keys that the real server sends."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from panel.sandbox.xwiki_profiles import Profile
from panel.sandbox.xwiki_state import HOME, WIKI, Page, Reference, User, Wiki

REL = "http://www.xwiki.org/rel/"

Bean = dict[str, Any]

PAGE_KEYS = (
    "links", "id", "fullName", "wiki", "space", "name", "title", "rawTitle", "parent", "parentId", "version", "author",
    "authorName", "xwikiRelativeUrl", "xwikiAbsoluteUrl", "translations", "syntax", "language", "majorVersion",
    "minorVersion", "hidden", "enforceRequiredRights", "created", "creator", "creatorName", "modified", "modifier",
    "modifierName", "originalMetadataAuthor", "originalMetadataAuthorName", "comment", "content", "clazz", "objects",
    "attachments", "hierarchy", "rights",
)  # fmt: skip
_SUMMARY_KEYS = PAGE_KEYS[: PAGE_KEYS.index("language")]
_VERSION_DEPENDENT_KEYS = {
    "rawTitle", "enforceRequiredRights", "originalMetadataAuthor", "originalMetadataAuthorName", "hierarchy", "rights",
}  # fmt: skip
_HIT_KEYS = (
    "links", "type", "id", "pageFullName", "title", "wiki", "space", "pageName", "modified", "author", "authorName",
    "version", "language", "className", "objectNumber", "filename", "score", "object", "hierarchy",
)  # fmt: skip


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def display_title(page: Page) -> str:
    """Return the rendered title, in which characters are HTML entities."""
    return html.escape(page.plain_title, quote=False)


def rest_spaces(spaces: Sequence[str]) -> str:
    return "".join(f"/spaces/{quote(name, safe='')}" for name in spaces)


@dataclass(frozen=True, slots=True)
class Views:
    """Builds beans. Their links start with ``base``, the URL of the instance in this request."""

    wiki: Wiki
    profile: Profile
    base: str
    context: str
    """The path of ``base``; empty if xWiki is mounted at the server's root."""
    pretty_names: bool = False

    # --- addresses -------------------------------------------------------------------------------------------

    def rest(self, path: str) -> str:
        return f"{self.base}/rest{path}"

    def page_address(self, reference: Reference, tail: str = "") -> str:
        name = quote(reference.name, safe="")
        return self.rest(f"/wikis/{WIKI}{rest_spaces(reference.spaces)}/pages/{name}{tail}")

    def view_path(self, reference: Reference) -> str:
        """Return the browser path of a page; the path of a space's home ends with a slash."""
        names = (*reference.spaces, "" if reference.is_home else reference.name)
        return f"{self.context}/bin/view/" + "/".join(quote(name, safe="") for name in names)

    def view_url(self, reference: Reference) -> str:
        return f"{self.base}{self.view_path(reference).removeprefix(self.context)}"

    def link(self, rel: str, href: str) -> Bean:
        return {"href": href, "rel": rel if rel == "self" else f"{REL}{rel}", "type": None, "hrefLang": None}

    # --- instance, wikis, spaces -----------------------------------------------------------------------------

    def root(self) -> Bean:
        rels = ["wikis", "syntaxes", *(["client"] if "client" in self.profile.newer_resources else [])]
        links = [self.link(rel, self.rest(f"/{rel}")) for rel in rels]
        return {"links": links, "version": self.profile.version, "syntaxes": None}

    def wiki_bean(self) -> Bean:
        rels = ("spaces", "classes", "modifications", "search", "query")
        links = [self.link(rel, self.rest(f"/wikis/{WIKI}/{rel}")) for rel in rels]
        return {"links": links, "id": WIKI, "name": WIKI, "description": None, "owner": None}

    def space(self, spaces: tuple[str, ...]) -> Bean:
        home = Reference(spaces, HOME)
        address = self.rest(f"/wikis/{WIKI}{rest_spaces(spaces)}")
        exists = home in self.wiki.pages
        links = [self.link("pages", f"{address}/pages"), self.link("search", f"{address}/search")]
        if exists:
            links.append(self.link("home", self.page_address(home)))
        return {
            "links": links,
            "id": f"{WIKI}:{home.space}",
            "wiki": WIKI,
            "name": spaces[-1],
            "home": home.id if exists else None,
            "xwikiRelativeUrl": self.view_path(home),
            "xwikiAbsoluteUrl": self.view_url(home),
        }

    # --- pages -----------------------------------------------------------------------------------------------

    def page(self, page: Page, *, language: str = "") -> Bean:
        """A complete page with raw content."""
        bean = self._shared(page) | {
            "language": language,
            "majorVersion": page.major,
            "minorVersion": page.minor,
            "hidden": page.hidden,
            "created": milliseconds(page.created),
            "creator": page.creator,
            "creatorName": self._pretty_name(page.creator),
            "modified": milliseconds(page.content_date),
            "modifier": page.author,
            "modifierName": self._pretty_name(page.author),
            "originalMetadataAuthor": f"{WIKI}:{page.author}",
            "originalMetadataAuthorName": self._pretty_name(page.author),
            "comment": page.comment,
            "content": page.content,
            "hierarchy": self.hierarchy(page.reference),
            "rights": [],
        }
        bean["links"] = [*bean["links"], self.link("self", self.page_address(page.reference))]
        return self._with_profile_keys(PAGE_KEYS, bean)

    def summary(self, page: Page) -> Bean:
        """A page in the list of a space or of children."""
        bean = self._shared(page)
        bean["links"] = [*bean["links"], self.link("page", self.page_address(page.reference))]
        return self._with_profile_keys(_SUMMARY_KEYS, bean)

    def reduced_summary(self, page: Page) -> Bean:
        """A page in ``/wikis/{wiki}/pages``: the stored title, one link, no version."""
        reference = page.reference
        return self._with_profile_keys(
            _SUMMARY_KEYS,
            self._names(reference)
            | {
                "links": [self.link("page", self.page_address(reference))],
                "title": page.title,
                "parent": page.parent_name,
            },
        )

    def _shared(self, page: Page) -> Bean:
        parent = page.parent_name
        existing = self._existing(parent)
        return self._names(page.reference) | {
            "links": self._page_links(page, existing),
            "title": display_title(page),
            "rawTitle": page.title,
            "parent": parent,
            "parentId": existing.id if existing else "",
            "version": page.version,
            "author": page.author,
            "authorName": self._pretty_name(page.author),
            "translations": self.translations(page),
            "syntax": page.syntax,
        }

    def _names(self, reference: Reference) -> Bean:
        return {
            "id": reference.id,
            "fullName": reference.full_name,
            "wiki": WIKI,
            "space": reference.space,
            "name": reference.name,
            "xwikiRelativeUrl": self.view_path(reference),
            "xwikiAbsoluteUrl": self.view_url(reference),
        }

    def _page_links(self, page: Page, parent: Reference | None) -> list[Bean]:
        reference = page.reference
        links = [self.link("space", self.rest(f"/wikis/{WIKI}{rest_spaces(reference.spaces)}"))]
        if parent is not None:
            links.append(self.link("parent", self.page_address(parent)))
        links.append(self.link("history", self.page_address(reference, "/history")))
        if any(child.parent_name == reference.full_name for child in self.wiki.pages.values()):
            links.append(self.link("children", self.page_address(reference, "/children")))
        return [*links, self.link("syntaxes", self.rest("/syntaxes"))]

    def translations(self, page: Page) -> Bean:
        found = [
            {
                "links": [self.link("page", self.page_address(page.reference, f"/translations/{language}"))],
                "language": language,
            }
            for language in sorted(page.translations)
        ]
        return {"links": [], "translations": found, "default": "en" if found else None}

    def hierarchy(self, reference: Reference) -> Bean:
        """The path from the wiki to the document. Labels are plain titles if pretty names are requested."""
        items = [self._hierarchy_item(WIKI, WIKI, "wiki", f"{self.base}/bin/view/Main/")]
        for depth, name in enumerate(reference.spaces, start=1):
            home = Reference(reference.spaces[:depth], HOME)
            items.append(self._hierarchy_item(self._label(home, name), name, "space", self.view_url(home)))
        label = self._label(reference, reference.name)
        items.append(self._hierarchy_item(label, reference.name, "document", self.view_url(reference)))
        return {"items": items}

    def _hierarchy_item(self, label: str, name: str, kind: str, url: str) -> Bean:
        return {"label": label, "name": name, "type": kind, "url": url}

    def _label(self, reference: Reference, name: str) -> str:
        page = self.wiki.pages.get(reference)
        return page.plain_title if self.pretty_names and page else name

    def history_summary(self, page: Page) -> Bean:
        reference = page.reference
        return {
            "links": [self.link("page", self.page_address(reference, f"/history/{page.version}"))],
            "pageId": reference.id,
            "wiki": WIKI,
            "space": reference.space,
            "name": reference.name,
            "version": page.version,
            "majorVersion": page.major,
            "minorVersion": page.minor,
            "modified": milliseconds(page.date),
            "modifier": page.author,
            "modifierName": self._pretty_name(page.author),
            "language": None,
            "comment": page.comment,
        }

    # --- search results --------------------------------------------------------------------------------------

    def database_hit(self, page: Page, *, language: str = "") -> Bean:
        """A row of a database query: the rendered title, and no hierarchy."""
        return self._hit(page, display_title(page), author=page.author, language=language)

    def keyword_hit(self, page: Page) -> Bean:
        return self.database_hit(page) | {"hierarchy": self.hierarchy(page.reference)}

    def solr_hit(self, page: Page, score: float, *, language: str = "") -> Bean:
        """A document of the index: the plain title as it was indexed, a score, and no hierarchy."""
        author = f"{WIKI}:{page.author}"
        return self._hit(page, page.plain_title, author=author, language=language) | {"score": score}

    def space_hit(self, spaces: tuple[str, ...]) -> Bean:
        home = Reference(spaces, HOME)
        page = self.wiki.pages.get(home)
        links = [self.link("space", self.rest(f"/wikis/{WIKI}{rest_spaces(spaces)}"))]
        if page is not None:
            links.append(self.link("home", self.page_address(home)))
        known = {
            "links": links,
            "type": "space",
            "id": home.space,
            "title": page.plain_title if page else spaces[-1],
            "wiki": WIKI,
            "space": home.space,
        }
        return {key: known.get(key) for key in _HIT_KEYS}

    def _hit(self, page: Page, title: str, *, author: str, language: str) -> Bean:
        reference = page.reference
        tail = f"/translations/{language}" if language else ""
        known = {
            "links": [self.link("page", self.page_address(reference, tail))],
            "type": "page",
            "id": reference.id,
            "pageFullName": reference.full_name,
            "title": title,
            "wiki": WIKI,
            "space": reference.space,
            "pageName": reference.name,
            "modified": milliseconds(page.date),
            "author": author,
            "authorName": self._pretty_name(author),
            "version": page.version,
            "language": language or None,
        }
        return {key: known.get(key) for key in _HIT_KEYS}

    def results(self, hits: Iterable[Bean], address: str, template: str) -> Bean:
        return {"links": [], "searchResults": list(hits), "template": f"{self.rest(address)}?{template}"}

    # --- users -----------------------------------------------------------------------------------------------

    def user(self, user: User | None) -> Bean:
        return {"links": [], "id": user.reference if user else f"{WIKI}:XWiki.XWikiGuest"}

    def _pretty_name(self, author: str) -> str | None:
        return self.wiki.display_name(author) if self.pretty_names else None

    # --- helpers ---------------------------------------------------------------------------------------------

    def _existing(self, full_name: str) -> Reference | None:
        """Return the reference of a stored parent if the page exists. Clients can store any text as parent."""
        try:
            reference = Reference.parse(full_name)
        except ValueError:
            return None
        return reference if reference in self.wiki.pages else None

    def _with_profile_keys(self, keys: Iterable[str], bean: Bean) -> Bean:
        """Return the bean with every key of the profile; missing values are null."""
        return {
            key: bean.get(key) for key in keys if key not in _VERSION_DEPENDENT_KEYS or key in self.profile.page_keys
        }
