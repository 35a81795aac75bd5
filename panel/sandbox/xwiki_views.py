"""The beans of xWiki's REST API: the state of a wiki with the keys that the real server sends."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from panel.sandbox.xwiki_addresses import Addresses, Bean, link
from panel.sandbox.xwiki_page import HOME, WIKI, Page, Reference, User
from panel.sandbox.xwiki_profiles import KEYS_SINCE_18, RECENT_PAGE_KEYS, Profile
from panel.sandbox.xwiki_state import Wiki

PAGE_KEYS = (
    "links", "id", "fullName", "wiki", "space", "name", "title", "rawTitle", "parent", "parentId", "version", "author",
    "authorName", "xwikiRelativeUrl", "xwikiAbsoluteUrl", "translations", "syntax", "language", "majorVersion",
    "minorVersion", "hidden", "enforceRequiredRights", "created", "creator", "creatorName", "modified", "modifier",
    "modifierName", "originalMetadataAuthor", "originalMetadataAuthorName", "comment", "content", "clazz", "objects",
    "attachments", "hierarchy", "rights", "renderedContent",
)  # fmt: skip
_SUMMARY_KEYS = PAGE_KEYS[: PAGE_KEYS.index("language")]
_VERSION_DEPENDENT_KEYS = RECENT_PAGE_KEYS | KEYS_SINCE_18


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def display_title(page: Page) -> str:
    """Return the rendered title, in which characters are HTML entities."""
    return html.escape(page.plain_title, quote=False)


@dataclass(frozen=True, slots=True)
class Views:
    """Builds the beans of one response."""

    wiki: Wiki
    profile: Profile
    addresses: Addresses
    pretty_names: bool = False

    # --- instance, wikis, spaces -----------------------------------------------------------------------------

    def root(self) -> Bean:
        rels = ["wikis", "syntaxes", *(["client"] if "client" in self.profile.newer_resources else [])]
        links = [link(rel, self.addresses.rest(f"/{rel}")) for rel in rels]
        return {"links": links, "version": self.profile.version, "syntaxes": None}

    def wiki_bean(self) -> Bean:
        rels = ("spaces", "classes", "modifications", "search", "query")
        links = [link(rel, self.addresses.rest(f"/wikis/{WIKI}/{rel}")) for rel in rels]
        return {"links": links, "id": WIKI, "name": WIKI, "description": None, "owner": None}

    def space(self, spaces: tuple[str, ...]) -> Bean:
        home = Reference(spaces, HOME)
        address = self.addresses.space(spaces)
        exists = home in self.wiki.pages
        links = [link("pages", f"{address}/pages"), link("search", f"{address}/search")]
        if exists:
            links.insert(1, link("home", self.addresses.page(home)))
        return {
            "links": links,
            "id": f"{WIKI}:{home.space}",
            "wiki": WIKI,
            "name": spaces[-1],
            "home": home.id if exists else None,
            "xwikiRelativeUrl": self.addresses.view_space(spaces),
            "xwikiAbsoluteUrl": self.addresses.view_space(spaces),
        }

    # --- pages -----------------------------------------------------------------------------------------------

    def page(self, page: Page, *, objects: Bean | None = None, rights: Iterable[Bean] = ()) -> Bean:
        """A complete page with raw content."""
        reference = page.reference
        tail = f"/translations/{page.language}" if page.language else ""
        bean = self._shared(page) | self._details(page) | {"objects": objects, "rights": list(rights)}
        bean["links"] = [
            *bean["links"],
            link("self", self.addresses.page(reference, tail)),
            link("class", self.addresses.rest(f"/wikis/{WIKI}/classes/{reference.full_name}")),
        ]
        return self._with_profile_keys(PAGE_KEYS, bean)

    def _details(self, page: Page) -> Bean:
        return {
            "language": page.language,
            "majorVersion": page.major,
            "minorVersion": page.minor,
            "hidden": page.hidden,
            "enforceRequiredRights": False,
            "created": milliseconds(page.created),
            "creator": page.creator,
            "creatorName": self.pretty_name(page.creator),
            "modified": milliseconds(page.content_date),
            "modifier": page.author,
            "modifierName": self.pretty_name(page.author),
            "originalMetadataAuthor": f"{WIKI}:{page.author}",
            "originalMetadataAuthorName": self.pretty_name(page.author),
            "comment": page.comment,
            "content": page.content,
            "hierarchy": self.hierarchy(page.reference, page.plain_title),
        }

    def summary(self, page: Page) -> Bean:
        """A page in the list of a space or of children."""
        bean = self._shared(page)
        bean["links"] = [*bean["links"], link("page", self.addresses.page(page.reference))]
        return self._with_profile_keys(_SUMMARY_KEYS, bean)

    def reduced_summary(self, page: Page) -> Bean:
        """A page in ``/wikis/{wiki}/pages``: the stored title, one link, no version."""
        reference = page.reference
        links = [link("page", self.addresses.linked_page(reference))]
        bean = self._names(reference) | {"links": links, "title": page.title, "parent": page.parent}
        return self._with_profile_keys(_SUMMARY_KEYS, bean)

    def _shared(self, page: Page) -> Bean:
        existing = self._existing(page.parent)
        return self._names(page.reference) | {
            "links": self._page_links(page, existing),
            "title": display_title(page),
            "rawTitle": page.title,
            "parent": page.parent,
            "parentId": existing.id if existing else "",
            "version": page.version,
            "author": page.author,
            "authorName": self.pretty_name(page.author),
            "translations": self.translations(page.reference),
            "syntax": page.syntax,
        }

    def _names(self, reference: Reference) -> Bean:
        return {
            "id": reference.id,
            "fullName": reference.full_name,
            "wiki": WIKI,
            "space": reference.space,
            "name": reference.name,
            "xwikiRelativeUrl": self.addresses.view(reference),
            "xwikiAbsoluteUrl": self.addresses.view(reference),
        }

    def _page_links(self, page: Page, parent: Reference | None) -> list[Bean]:
        reference = page.reference
        links = [link("space", self.addresses.space(reference.spaces))]
        if parent is not None:
            links.append(link("parent", self.addresses.page(parent)))
        links.append(link("history", self.addresses.linked_page(reference, "/history")))
        if self.wiki.is_parent(reference.full_name):
            links.append(link("children", self.addresses.page(reference, "/children")))
        if page.objects:
            links.append(link("objects", self.addresses.linked_page(reference, "/objects")))
        return [*links, link("syntaxes", self.addresses.rest("/syntaxes"))]

    def translations(self, reference: Reference) -> Bean:
        found = []
        for language in self.wiki.languages(reference):
            address = self.addresses.page(reference, f"/translations/{language}")
            found.append(
                {"links": [link("page", address), link("history", f"{address}/history")], "language": language}
            )
        return {"links": [], "translations": found, "default": ""}

    # --- hierarchy -------------------------------------------------------------------------------------------

    def hierarchy(self, reference: Reference, title: str) -> Bean:
        """The path from the wiki to the document. Labels are plain titles if pretty names are requested."""
        items = [_hierarchy_item("Home" if self.pretty_names else WIKI, WIKI, "wiki", self._home())]
        for depth, name in enumerate(reference.spaces, start=1):
            spaces = reference.spaces[:depth]
            items.append(_hierarchy_item(self._label(spaces), name, "space", self.addresses.view_space(spaces)))
        label = title if self.pretty_names else reference.name
        items.append(_hierarchy_item(label, reference.name, "document", self.addresses.view(reference)))
        return {"items": items}

    def _home(self) -> str:
        return self.addresses.view_space(("Main",))

    def _label(self, spaces: tuple[str, ...]) -> str:
        home = self.wiki.pages.get(Reference(spaces, HOME))
        return home.plain_title if self.pretty_names and home else spaces[-1]

    def history_summary(self, page: Page) -> Bean:
        reference = page.reference
        return {
            "links": [link("page", self.addresses.linked_page(reference, f"/history/{page.version}"))],
            "pageId": reference.id,
            "wiki": WIKI,
            "space": reference.space,
            "name": reference.name,
            "version": page.version,
            "majorVersion": page.major,
            "minorVersion": page.minor,
            "modified": milliseconds(page.date),
            "modifier": page.author,
            "modifierName": self.pretty_name(page.author),
            "language": page.language or None,
            "comment": page.comment,
        }

    # --- users -----------------------------------------------------------------------------------------------

    def user(self, user: User | None) -> Bean:
        return {"links": [], "id": user.reference if user else f"{WIKI}:XWiki.XWikiGuest"}

    def pretty_name(self, author: str) -> str | None:
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


def _hierarchy_item(label: str, name: str, kind: str, url: str) -> Bean:
    return {"label": label, "name": name, "type": kind, "url": url}
