"""The xWiki leaf: pages of one wiki, over its REST API.

https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from panel.connector import Answer, SourceConfig, Upstream, unexpected
from panel.core.domain import Choices, Identity, Item, Problem
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable
from panel.core.messages import _, _n, sentences
from panel.core.reasons import Reason
from panel.integrations.contract import Branch, Hits, Integration
from panel.integrations.descriptor import Descriptor
from panel.integrations.xwiki import moved, reference, rest
from panel.integrations.xwiki.create import create, find_existing
from panel.integrations.xwiki.item import gone, read_page, to_row
from panel.integrations.xwiki.lookup import find_pages, note_live
from panel.integrations.xwiki.pasted import Pasted, parse_pasted
from panel.integrations.xwiki.places import find_branch, find_places, place_of, visible_spaces
from panel.integrations.xwiki.reference import MAIN_WIKI, BadReference, PageReference, path_of
from panel.integrations.xwiki.rest import MOST, REST, ask_page, identify, reported_version, wiki_of
from panel.integrations.xwiki.search import find_pages_by_words
from panel.integrations.xwiki.short_addresses import view_prefix

_HIDDEN = _("xWiki does not show this page to our account.")
_REFUSED = _(
    "The web server of this xWiki refuses addresses with a slash or backslash in a name (HTTP 400), "
    "so that such a page cannot be read."
)


class XWiki(Integration):
    descriptor: ClassVar[Descriptor]
    can_move: ClassVar[bool] = True

    # --- addresses -----------------------------------------------------------------------------------------------

    def instance_root(self, location: str) -> str:
        return reference.instance_root(location)

    def likely_roots(self, location: str) -> Sequence[str]:
        """Most servers have xWiki at ``/xwiki``."""
        root = reference.instance_root(location)
        return (root,) if urlsplit(root).path else (root, f"{root}/xwiki")

    def options_in(self, location: str) -> Mapping[str, str]:
        wiki = reference.wiki_in(location)
        return {} if wiki in ("", MAIN_WIKI) else {"wiki": wiki}

    def api_address(self, source: SourceConfig) -> str:
        return f"{source.root}/rest/wikis/{quote(wiki_of(source), safe='')}"

    def url_for(self, source: SourceConfig, reference: str) -> str:
        return gone(reference, source.root, wiki_of(source)).url

    def shown_reference(self, reference: str) -> str:
        page = _parsed(reference)
        return path_of(page) if page is not None else reference

    def values_beside(self, reference: str) -> Mapping[str, str]:
        return {"space": place} if (place := place_of(reference)) else {}

    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        return reference.looks_like_reference(text, wiki_of(source))

    def references_named(self, source: SourceConfig, text: str) -> Sequence[str]:
        """The pages that the text can name. A short address, and one of a subwiki without its id, are left to xWiki."""
        wiki = wiki_of(source)
        try:
            pasted = parse_pasted(text, source.root, wiki)
        except InvalidInput:
            return ()
        if pasted.omits_wiki and wiki != reference.MAIN_WIKI:
            return ()
        return [str(candidate) for candidate in pasted.candidates]

    def recognises(self, address: str) -> bool:
        return reference.is_page_address(address)

    # --- connection ----------------------------------------------------------------------------------------------

    def check(self, upstream: Upstream) -> Identity:
        return identify(upstream)

    def probe_product(self, upstream: Upstream) -> str:
        """https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Root resources"."""
        try:
            version = _version_at_root(upstream.get(REST, allow={401, 403}))
        except ProviderUnavailable as exc:
            if exc.reason is not Reason.UNEXPECTED_RESPONSE or exc.status in (403, None):
                raise
            version = None
        if version is None:
            raise unexpected(sentences(_("That address does not answer as an xWiki."), _hint(upstream)))
        return version

    def probe_identity(self, upstream: Upstream) -> Identity:
        return identify(upstream)

    def probe_reading(self, upstream: Upstream) -> str:
        places = sorted(" › ".join(place) for place in visible_spaces(upstream))
        if not places:
            return _("This account sees no pages in xWiki.")
        count, place = len(places), places[0]
        if count >= MOST:
            return _("This account sees {count} or more spaces, among them {place}.", count=count, place=place)
        return _n(
            "This account sees {n} space, among them {place}.",
            "This account sees {n} spaces, among them {place}.",
            count,
            place=place,
        )

    def fingerprint(self, upstream: Upstream) -> Mapping[str, str]:
        """The creation time of the wiki's home page, which upgrades and edits do not change.

        https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
        """
        answer = ask_page(upstream, PageReference(wiki_of(upstream.source), ("Main",), reference.HOME))
        created = answer.object().get("created") if answer.status < 300 else None
        return {"home": str(created)} if isinstance(created, int) else {}

    # --- reading -------------------------------------------------------------------------------------------------

    def resolve(self, upstream: Upstream, text: str) -> Item:
        source = upstream.source
        pasted = parse_pasted(text, source.root, wiki_of(source), lambda: view_prefix(upstream))
        statuses = []
        for candidate in pasted.candidates:
            answer = ask_page(upstream, candidate)
            if answer.status < 300:
                _refuse_main_wiki(answer, pasted, wiki_of(source))
                note_live(upstream, candidate)
                return moved.at_end(upstream, candidate, read_page(answer, wiki_of(source), source.root))
            statuses.append(answer.status)
        if statuses[0] == 400:
            raise NotFound(_REFUSED)
        raise NotFound(
            _HIDDEN if 401 in statuses else _("xWiki has no page “{page}”.", page=pasted.candidates[0].local)
        )

    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        source = upstream.source
        page = _stored(reference, wiki_of(source))
        if page is None or not page.is_reachable:
            raise NotFound(_HIDDEN)
        answer = ask_page(upstream, page)
        if answer.status >= 400:
            raise NotFound(_HIDDEN)
        note_live(upstream, page)
        item = read_page(answer, page.wiki, source.root, with_excerpt=with_excerpt)
        return replace(moved.shown(upstream, page, item), reference=reference)

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        root, wiki = upstream.source.root, wiki_of(upstream.source)
        pages = {text: _stored(text, wiki) for text in references}
        valid = [page for page in pages.values() if page is not None]
        if references and not valid:
            # Without a page to request, nothing else would prove that xWiki answers.
            identify(upstream)
        found = moved.without_redirects(upstream, find_pages(upstream, valid))
        items = {text: found.get(page) if page else None for text, page in pages.items()}
        return {text: replace(item, reference=text) if item else gone(text, root, wiki) for text, item in items.items()}

    def locate(self, upstream: Upstream, absent: Sequence[Item], origins: Mapping[str, int]) -> Mapping[str, Item]:
        return moved.locate(upstream, absent, origins)

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        return self.find(upstream, text, limit=limit).items

    def find(self, upstream: Upstream, text: str, *, limit: int, titles_only: bool = False) -> Hits:
        return find_pages_by_words(upstream, text, max(1, min(limit, MOST)), titles_only=titles_only)

    # --- writing -------------------------------------------------------------------------------------------------

    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        return create(upstream, values)

    def find_existing(self, upstream: Upstream, values: Mapping[str, str]) -> Item | None:
        return find_existing(upstream, values)

    def find_choices(
        self,
        upstream: Upstream,
        field: str,
        values: Mapping[str, str],
        *,
        search: str = "",
        reference: str | None = None,
    ) -> Choices:
        if field == "space":
            return find_places(upstream, search, values.get("space", ""))
        return super().find_choices(upstream, field, values, search=search, reference=reference)

    def branch(self, upstream: Upstream, field: str, within: str) -> Branch:
        return find_branch(upstream, within) if field == "space" else super().branch(upstream, field, within)

    # --- shape ---------------------------------------------------------------------------------------------------

    def row(self, item: Item) -> dict[str, Any]:
        return to_row(item)

    def lacks(self, answer: Answer) -> str:
        return rest.lacks(answer)

    def classify(self, answer: Answer, source: SourceConfig) -> Problem | None:
        return rest.classify(answer, source)


def _parsed(reference: str, wiki: str = MAIN_WIKI) -> PageReference | None:
    """The page of a stored reference; None when it names none."""
    try:
        return PageReference.parse(reference, wiki)
    except BadReference:
        return None


def _stored(reference: str, wiki: str) -> PageReference | None:
    """The page of a stored reference; None when it is not a page of the source's wiki."""
    page = _parsed(reference, wiki)
    return page if page is not None and page.wiki == wiki else None


def _refuse_main_wiki(answer: Answer, pasted: Pasted, wiki: str) -> None:
    """Raise InvalidInput when an address without a wiki is of the main wiki and the source reads another one."""
    if not pasted.omits_wiki or wiki == MAIN_WIKI:
        return
    address = answer.object().get("xwikiAbsoluteUrl")
    if isinstance(address, str) and f"/wiki/{quote(wiki, safe='')}/" in urlsplit(address).path:
        raise InvalidInput(
            "reference", _("This page is in the main wiki; this source reads the wiki “{wiki}”.", wiki=wiki)
        )


def _version_at_root(answer: Answer) -> str | None:
    """The version at the root of the API; None when it is not an xWiki."""
    if reported_version(answer):
        return reported_version(answer)
    if answer.status >= 300 or not answer.is_json:
        return None
    try:
        version = answer.object().get("version")
    except ProviderUnavailable:
        return None
    return version if isinstance(version, str) else None


def _hint(upstream: Upstream) -> str:
    """A hint on the path /xwiki, where most servers have xWiki. Only for a root without a path."""
    root = upstream.source.root
    if urlsplit(root).path:
        return ""
    try:
        found = _version_at_root(upstream.get("xwiki", REST, allow={401, 403, 404}))
    except ProviderUnavailable:
        found = None
    if found is None:
        return _("On many servers it is at /xwiki.")
    return _("There is one at {address}.", address=f"{root}/xwiki")
