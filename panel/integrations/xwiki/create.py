"""Creates pages. A PUT of xWiki overwrites an existing page, so the leaf checks that there is none before it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Item
from panel.core.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, ProviderUnavailable, Rejected
from panel.core.messages import _
from panel.integrations.contract import creating
from panel.integrations.xwiki.item import bare_item, read_page
from panel.integrations.xwiki.lookup import note_live
from panel.integrations.xwiki.reference import BadReference, PageReference, local_space, split_names
from panel.integrations.xwiki.rest import REST, ask_page, reported_version, wiki_of

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
    spaces = _spaces(values, wiki_of(upstream.source))
    page = _free_page(upstream, spaces, _name(values, title))
    with creating(upstream, _("the page")):
        answer = _put(upstream, page, _document(title, content))
        _refuse_rejected(answer, spaces, title)
    if answer.status == 202:
        exists = AlreadyExists(
            _(
                "Another user created “{title}” at the same moment. This text has replaced theirs, "
                "which is kept in the history of the page.",
                title=title,
            )
        )
        exists.in_doubt = True
        raise exists
    note_live(upstream, page)
    return _created(answer, upstream, page, title)


def find_existing(upstream: Upstream, values: Mapping[str, Any]) -> Item | None:
    """The page that has the name of the new one, nested or not; None when there is none, or the form is incomplete."""
    wiki = wiki_of(upstream.source)
    try:
        spaces, name = _spaces(values, wiki), _name(values, _title(values))
        terminal = _new_page(wiki, spaces, name)
    except InvalidInput:
        return None
    for page in (terminal.nested, terminal):
        answer = upstream.get(REST, *page.path, allow={400, 401, 404, 500})
        if answer.status == 200:
            return read_page(answer, wiki, upstream.source.root)
    return None


def _free_page(upstream: Upstream, spaces: tuple[str, ...], title: str) -> PageReference:
    """The new page, as xWiki's own form names it: after its name, and nested unless the source says terminal.

    Raises AlreadyExists when there is a page of this name in either form.
    """
    wiki = wiki_of(upstream.source)
    for name in dict.fromkeys((title, re.sub(r"[/\\]", "-", title))):
        terminal = _new_page(wiki, spaces, name)
        answers = [_ask_free(upstream, candidate) for candidate in (terminal, terminal.nested)]
        if None not in answers:
            _refuse_existing(answers, spaces, title)
            return terminal if upstream.source.options.get("terminal") == "true" else terminal.nested
    raise InvalidInput("space", _("This server does not accept a slash or a backslash in the name of a space."))


def _ask_free(upstream: Upstream, page: PageReference) -> int | None:
    """The status of a page; None when the server, or a proxy, does not accept a slash or backslash in its name."""
    if not page.has_separator:
        return ask_page(upstream, page).status
    # https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    answer = upstream.get(REST, *page.path, allow={400, 401, 404, 500})
    return answer.status if reported_version(answer) and answer.status in (200, 401, 404) else None


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


def _refuse_existing(statuses: Sequence[int | None], spaces: Sequence[str], title: str) -> None:
    if 200 in statuses:
        raise AlreadyExists(
            _("“{title}” exists already in {spaces}. Nothing was overwritten.", title=title, spaces=_shown(spaces))
        )
    if 401 in statuses:
        raise _forbidden(spaces)


def _refuse_rejected(answer: Answer, spaces: Sequence[str], title: str) -> None:
    if answer.status in (401, 403):
        raise _forbidden(spaces)
    if answer.status == 412:
        raise Conflict(
            _(
                "Another user is just writing a page “{title}” in {spaces}. Nothing was saved.",
                title=title,
                spaces=_shown(spaces),
            )
        )
    if answer.status == 400:
        raise Rejected(_("xWiki did not accept this page. Nothing was created."), {})
    if answer.status >= 400:
        raise unexpected(_("{where} answered {status}; nothing was created.", where=answer.where, status=answer.status))


def _forbidden(spaces: Sequence[str]) -> Forbidden:
    return Forbidden(_("xWiki does not let our account create pages in {spaces}.", spaces=_shown(spaces)))


def _shown(spaces: Sequence[str]) -> str:
    return " › ".join(spaces)


# --- form values --------------------------------------------------------------------------------------------------


def _title(values: Mapping[str, Any]) -> str:
    title = _line(values, "title")
    if len(title) > LONGEST_NAME:
        raise InvalidInput("title", _("A title has at most {longest} characters.", longest=LONGEST_NAME))
    if _SCRIPT_IN_TITLE.search(title):
        raise InvalidInput("title", _("xWiki would run “$name” or “#name(…)” in a title: write it another way."))
    return title


def _name(values: Mapping[str, Any], title: str) -> str:
    """The name of the page: that of the form, else its title."""
    name = _line(values, "name") if str(values.get("name") or "").strip() else title
    if len(name) > LONGEST_NAME:
        raise InvalidInput("name", _("A name has at most {longest} characters.", longest=LONGEST_NAME))
    return name


def _spaces(values: Mapping[str, Any], wiki: str) -> tuple[str, ...]:
    """The spaces of ``Outer.Inner``, with or without a wiki prefix."""
    typed = _line(values, "space").removeprefix(f"{wiki}:")
    names = split_names(typed)
    if any(name != name.strip() for name in names):
        raise InvalidInput("space", _(r"Write a dot that belongs to a name with a backslash: “07\. Dev”."))
    if not all(names) or {".", ".."} & set(names):
        raise InvalidInput("space", _("Give the space as xWiki does, such as Outer.Inner."))
    return tuple(names)


def _new_page(wiki: str, spaces: tuple[str, ...], name: str) -> PageReference:
    """A terminal page in the space."""
    if name in (".", ".."):
        raise InvalidInput("title", _("A page cannot be called that."))
    try:
        page = PageReference(wiki, spaces, name)
        PageReference.parse(str(page.nested))
    except BadReference:
        raise InvalidInput(
            "space", _("“{space}” cannot be the space of a page.", space=local_space(spaces)[:80])
        ) from None
    return page


def _content(values: Mapping[str, Any]) -> str:
    content = values.get("content")
    if content is None:
        return ""
    if not isinstance(content, str) or len(content) > _LONGEST_TEXT:
        raise InvalidInput(
            "content", _("The text must be text, of at most {longest} characters.", longest=_LONGEST_TEXT)
        )
    return content.replace("\r\n", "\n")


def _line(values: Mapping[str, Any], field: str) -> str:
    value = values.get(field)
    text = re.sub(r"\s+", " ", _NOT_IN_NAMES.sub(" ", value)).strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidInput(field, _("“{name}” is missing.", name=field))
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
