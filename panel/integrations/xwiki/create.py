"""Creates pages. A PUT of xWiki overwrites an existing page, so the leaf checks that there is none before it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Item
from panel.core.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, ProviderUnavailable, Rejected
from panel.integrations.contract import creating
from panel.integrations.xwiki.item import bare_item, read_page
from panel.integrations.xwiki.reference import BadReference, PageReference, is_unusable, local_space, split_names
from panel.integrations.xwiki.rest import REST, ask, ask_page, entries, wiki_of

LONGEST_NAME = 255
_LONGEST_TEXT = 500_000

_NAMESPACE = "http://www.xwiki.org"
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SCRIPT_IN_TITLE = re.compile(r"\$!?\{?[A-Za-z_]|#@?\{?[A-Za-z_]+\}?\s*\(|#\[\[|#\*")
"""Velocity code in a title. xWiki would run it with the rights of the source's account."""

_REFUSALS = frozenset(range(400, 500)) - {429}


def create(upstream: Upstream, values: Mapping[str, Any]) -> Item:
    """Create the page that ``values`` describe. Raises as ``Integration.create`` says."""
    title, content = _title(values), _content(values)
    wiki = wiki_of(upstream.source)
    spaces = _spaces(values, wiki)
    page = _new_page(wiki, spaces, _camel_case(title))
    for candidate in (page, page.nested):
        _refuse_existing(ask_page(upstream, candidate), page, title)
    _refuse_namesake(upstream, _new_page(wiki, spaces, title), page, title)
    with creating(upstream, "the page"):
        answer = _put(upstream, page, _document(title, content))
        _refuse_rejected(answer, page, title)
    if answer.status == 202:
        exists = AlreadyExists(
            f"Another user created “{title}” at the same moment. This text has replaced theirs, "
            "which is kept in the history of the page."
        )
        exists.in_doubt = True
        raise exists
    return _created(answer, upstream, page, title)


def _put(upstream: Upstream, page: PageReference, document: bytes) -> Answer:
    """https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources"."""
    return upstream.send(
        "PUT", REST, *page.path, body=document, content_type="application/xml; charset=utf-8", allow=_REFUSALS
    )


def _created(answer: Answer, upstream: Upstream, page: PageReference, title: str) -> Item:
    """The new page. A 201 proves that it exists, even if the body cannot be read."""
    try:
        return read_page(answer, page.wiki, upstream.source.root)
    except ProviderUnavailable:
        return bare_item(page, upstream.source.root, title=title)


def _refuse_existing(answer: Answer, page: PageReference, title: str) -> None:
    if answer.status == 200:
        raise AlreadyExists(f"“{title}” exists already in {page.space}. Nothing was overwritten.")
    if answer.status == 401:
        raise _forbidden(page)


def _refuse_namesake(upstream: Upstream, namesake: PageReference, page: PageReference, title: str) -> None:
    """Raise AlreadyExists for a page with the unchanged title as its name, as xWiki itself creates pages.

    The title is sent as a query value, which no log keeps.
    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    if namesake == page:
        return
    found = entries(ask(upstream, "pages", query=[("name", namesake.local), ("number", "100")]), "pageSummaries")
    if {str(namesake), str(namesake.nested)} & {summary.get("id") for summary in found}:
        raise AlreadyExists(f"“{title}” exists already in {page.space}. Nothing was overwritten.")


def _refuse_rejected(answer: Answer, page: PageReference, title: str) -> None:
    if answer.status in (401, 403):
        raise _forbidden(page)
    if answer.status == 412:
        raise Conflict(f"Another user is just writing a page “{title}” in {page.space}. Nothing was saved.")
    if answer.status == 400:
        raise Rejected("xWiki did not accept this page. Nothing was created.", {})
    if answer.status >= 400:
        raise unexpected(f"{answer.where} answered {answer.status}; nothing was created.")


def _forbidden(page: PageReference) -> Forbidden:
    return Forbidden(f"xWiki does not let our account create pages in {page.space}.")


# --- form values --------------------------------------------------------------------------------------------------


def _title(values: Mapping[str, Any]) -> str:
    title = _line(values, "title")
    if len(title) > LONGEST_NAME:
        raise InvalidInput("title", f"A title has at most {LONGEST_NAME} characters.")
    if _SCRIPT_IN_TITLE.search(title):
        raise InvalidInput("title", "xWiki would run “$name” or “#name(…)” in a title: write it another way.")
    return title


def _spaces(values: Mapping[str, Any], wiki: str) -> tuple[str, ...]:
    """The spaces of ``Outer.Inner``, with or without a wiki prefix."""
    typed = _line(values, "space").removeprefix(f"{wiki}:")
    names = split_names(typed)
    if any(name != name.strip() for name in names):
        raise InvalidInput("space", r"Write a dot that belongs to a name with a backslash: “07\. Dev”.")
    if not all(names) or any(is_unusable(name) for name in names):
        raise InvalidInput("space", "Give the space as xWiki does, such as Outer.Inner. A name has no slash.")
    return tuple(names)


def _camel_case(title: str) -> str:
    """The name of a new page: the words of its title without blanks, ``NotesOfTheHearing``.

    This is the convention of wikis, and it keeps the title out of the stored pointer.
    """
    words = title.split()
    return "".join(word[0].upper() + word[1:] for word in words) if len(words) > 1 else title


def _new_page(wiki: str, spaces: tuple[str, ...], title: str) -> PageReference:
    """A terminal page in the space. An address cannot carry slashes in its name, so they become hyphens."""
    name = re.sub(r"[/\\]", "-", title).strip()
    if is_unusable(name):
        raise InvalidInput("title", "A page cannot be called that.")
    try:
        page = PageReference(wiki, spaces, name)
        PageReference.parse(str(page))
    except BadReference:
        raise InvalidInput("space", f"“{local_space(spaces)[:80]}” cannot be the space of a page.") from None
    return page


def _content(values: Mapping[str, Any]) -> str:
    content = values.get("content")
    if content is None:
        return ""
    if not isinstance(content, str) or len(content) > _LONGEST_TEXT:
        raise InvalidInput("content", f"The text must be text, of at most {_LONGEST_TEXT} characters.")
    return content.replace("\r\n", "\n")


def _line(values: Mapping[str, Any], field: str) -> str:
    value = values.get(field)
    text = re.sub(r"\s+", " ", _NOT_IN_NAMES.sub(" ", value)).strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidInput(field, f"“{field}” is missing.")
    return text


def _document(title: str, content: str) -> bytes:
    """The XML of a page. xWiki requires the namespace. It resets ``hidden`` when it is missing."""
    page = ElementTree.Element("page", {"xmlns": _NAMESPACE})
    fields = {"title": title, "syntax": "xwiki/2.1", "hidden": "false", "content": _without_macros(content)}
    for name, value in fields.items():
        ElementTree.SubElement(page, name).text = _NOT_IN_XML.sub("", value)
    document: bytes = ElementTree.tostring(page, encoding="utf-8", xml_declaration=True)
    return document


def _without_macros(content: str) -> str:
    """Escape macros. xWiki would run them with the rights of the source's account."""
    return re.sub(r"\{(?=\{)|(?<=\{)\{", "~{", content)
