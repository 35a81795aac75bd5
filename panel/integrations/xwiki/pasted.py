"""Finds the page that a pasted address or typed reference names, without a request.

Besides references and addresses of pages these are read: addresses of actions (``/bin/edit/…``) and of the REST API,
short addresses, ``Space/Page``, the paths that the panel shows (``Space › Page``), ``doc:…`` and links of the wiki
syntax (``[[label>>Space.Page]]``).
https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiSyntax/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from panel.connector import is_same_host
from panel.core.errors import InvalidInput, WrongHost
from panel.core.messages import _
from panel.integrations.xwiki.reference import (
    ADDRESS,
    HOME,
    LONGEST,
    BadReference,
    PageReference,
    from_path,
    segments_of,
    split_names,
    web_address,
    without_wiki,
)

_LONGEST_ADDRESS = 4000
_WIKI_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_KIND = re.compile(r"(?P<kind>doc|page|space|url):(?P<rest>.+)", re.DOTALL)

_FILE_ACTIONS = frozenset({"delattachment", "download", "downloadrev", "viewattachrev"})
_PAGE_ACTIONS = frozenset(
    {"attach", "cancel", "create", "delete", "deletespace", "deleteversions", "edit", "export", "get", "history"}
    | {"inline", "lock", "objectadd", "objectremove", "objectsync", "pdf", "plain", "preview", "propadd", "propdelete"}
    | {"propdisable", "propenable", "propupdate", "reject", "rename", "rollback", "save", "saveandcontinue", "undelete"}
    | {"upload", "view", "viewrev"}
)
"""Actions whose addresses name a page. Only its name is read from them."""
_OTHER_ACTIONS = frozenset(
    {"admin", "distribution", "import", "jsx", "login", "loginerror", "loginsubmit", "logout", "register", "resources"}
    | {"skin", "ssx", "temp", "unknown", "webjars"}
)
"""Actions whose addresses are of the wiki itself, of a file or of a script."""

Prefix = Sequence[str]
"""The decoded segments before the names of a page in the addresses that a wiki builds, such as ``xwiki, bin, view``."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """The candidates for a pasted address or typed reference, the likeliest first."""

    candidates: tuple[PageReference, ...]
    omits_wiki: bool = False
    """Whether the address has no wiki id: it belongs to the main wiki, or to a subwiki with its own host."""


def parse_pasted(text: str, root: str, wiki: str, prefix: Callable[[], Prefix | None] = lambda: None) -> Pasted:
    """The page of a pasted address or typed reference.

    ``prefix`` is called for an address that only the wiki itself can explain, a short one.
    Raises InvalidInput("reference", …) when there is none, WrongHost for an address outside ``root``.
    """
    typed = text.strip()
    if not typed:
        raise InvalidInput("reference", _("Give the address of a page, or its reference: Space.Page."))
    try:
        kind, target = _target(typed, wiki)
        is_address = ADDRESS.match(target) is not None
        pasted = _Address(target, root).read(wiki, prefix) if is_address else _typed(target, wiki, kind)
    except BadReference:
        raise _no_page(typed) from None
    _check_wiki(pasted, wiki)
    if not all(candidate.is_reachable for candidate in pasted.candidates):
        raise InvalidInput("reference", _("xWiki cannot serve a page whose name is a dot or two dots."))
    return pasted


def _check_wiki(pasted: Pasted, wiki: str) -> None:
    other = pasted.candidates[0].wiki
    if other != wiki:
        raise InvalidInput(
            "reference",
            _("This page is in the wiki “{other}”; this source reads the wiki “{wiki}”.", other=other, wiki=wiki),
        )


# --- typed references ------------------------------------------------------------------------------------------------


def _target(typed: str, wiki: str) -> tuple[str, str]:
    """The kind before a reference, and the reference or address itself, also in a link of the wiki syntax."""
    target = typed
    if typed.startswith("[[") and typed.endswith("]]"):
        target = typed[2:-2].rpartition(">>")[2].partition("||")[0].strip()
    kind = _KIND.fullmatch(target)
    if kind is None or kind["kind"] == wiki:
        return "", target
    rest = f"{kind['rest']}.{HOME}" if kind["kind"] == "space" else kind["rest"]
    return kind["kind"], rest


def _typed(typed: str, wiki: str, kind: str) -> Pasted:
    if len(typed) > LONGEST:
        raise BadReference(typed)
    candidates = _readings(typed, wiki, kind)
    if candidates:
        return Pasted(tuple(dict.fromkeys(candidates)))
    local = without_wiki(typed)[1]
    if len(split_names(local)) > 1 or "/" in local or not local:
        raise BadReference(typed)
    raise InvalidInput("reference", _("“{text}” has no space: write Space.Page, or search for it.", text=_short(typed)))


def _readings(typed: str, wiki: str, kind: str) -> list[PageReference]:
    """The pages that a text can name, the likeliest first."""
    on_path = _on_path(typed, wiki)
    prefix, local = without_wiki(typed)
    if prefix != wiki and (on_path or "/" in (prefix or "")):
        # The colon is part of a name.
        prefix, local = None, typed
    if prefix is not None and not _WIKI_ID.fullmatch(prefix):
        return []
    by_dots = _attempt(_dotted, local, prefix or wiki) if kind != "page" else []
    if prefix is not None and by_dots:
        # Complete, as xWiki and the panel write references: a slash is part of a name.
        return by_dots
    if on_path and any(name != name.strip() for name in split_names(local)):
        by_dots = []
    return [*on_path, *by_dots, *_attempt(_slashed, local, prefix or wiki)]


def _on_path(typed: str, wiki: str) -> tuple[PageReference, ...]:
    """``Space › Page``, as the panel shows a nested page. Others write a terminal page in this way too."""
    page = from_path(typed, wiki)
    if page is None:
        return ()
    outer = page.outer
    return (page, PageReference(wiki, outer, page.spaces[-1])) if page.is_home and outer else (page,)


def _attempt(read: Callable[[str, str], tuple[PageReference, ...]], local: str, wiki: str) -> list[PageReference]:
    try:
        return list(read(local, wiki))
    except BadReference:
        return []


def _dotted(local: str, wiki: str) -> tuple[PageReference, ...]:
    """``Space.Page``, in which a name may have a slash."""
    *spaces, name = split_names(local)
    if not spaces:
        return ()
    reference = PageReference(wiki, tuple(spaces), name)
    return (reference,) if reference.is_home else (reference, reference.nested)


def _slashed(local: str, wiki: str) -> tuple[PageReference, ...]:
    """``Space/Page``, in which a name may have a dot."""
    return _pages(local.rstrip("/").split("/"), wiki, open_end=local.endswith("/")) if "/" in local else ()


# --- addresses -------------------------------------------------------------------------------------------------------


class _Address:
    """A pasted address of a source whose instance root is ``root``."""

    def __init__(self, text: str, root: str) -> None:
        if len(text) > _LONGEST_ADDRESS:
            raise BadReference(text)
        self._parts = web_address(text, "reference")
        self._segments = segments_of(self._parts.path)
        self._is_same_host = is_same_host(text, root)
        self._open_end = self._parts.path.endswith("/")
        base = segments_of(urlsplit(root).path)
        inside = self._is_same_host and _decoded(self._segments[: len(base)]) == _decoded(base)
        self._base = base
        self._below = self._segments[len(base) :] if inside else None
        """The segments below the instance root; None for an address outside it."""

    def read(self, wiki: str, prefix: Callable[[], Prefix | None]) -> Pasted:
        """Raises InvalidInput for an address that is no page, WrongHost for one outside the instance."""
        below = self._below or []
        if below[:1] == ["bin"]:
            return Pasted(self._after_action(below[1:], wiki), omits_wiki=True)
        if below[:1] == ["rest"]:
            return Pasted((_rest_page(below[1:]),))
        may_be_short = self._is_same_host and self._below != []
        short = self._after_prefix(prefix()) if may_be_short else None
        if short is not None:
            return Pasted(self._after_action(short, wiki))
        if self._names_wiki:
            return Pasted(self._after_action(below[2:], _name(below[1])))
        if self._below is None:
            raise _elsewhere(self._parts, self._segments if self._is_same_host else [])
        return Pasted(self._after_action(below, wiki), omits_wiki=True)

    def _after_prefix(self, prefix: Prefix | None) -> Sequence[str] | None:
        """The segments after the prefix of the wiki's own addresses; None for another address."""
        if prefix is None or _decoded(self._segments[: len(prefix)]) != list(prefix):
            return None
        # ``/wiki/{id}/…`` is an address of another wiki, unless pages of this one are below ``/wiki/`` too.
        is_other_wiki = self._names_wiki and len(prefix) <= len(self._base)
        return None if is_other_wiki else self._segments[len(prefix) :]

    @property
    def _names_wiki(self) -> bool:
        return self._below is not None and self._below[:1] == ["wiki"] and len(self._below) > 1

    def _after_action(self, segments: Sequence[str], wiki: str) -> tuple[PageReference, ...]:
        return _pages(_names(segments), wiki, open_end=self._open_end)


def _names(segments: Sequence[str]) -> list[str]:
    """The names of a page from the segments after ``bin``, without the action and the name of an attachment."""
    action = segments[0] if segments else "view"
    if action in _PAGE_ACTIONS:
        return [_name(segment) for segment in segments[1:]]
    if action in _FILE_ACTIONS:
        return [_name(segment) for segment in segments[1:-1]]
    if action in _OTHER_ACTIONS:
        raise _not_a_page()
    return [_name(segment) for segment in segments]


def _pages(names: Sequence[str], wiki: str, *, open_end: bool) -> tuple[PageReference, ...]:
    """A terminal page takes precedence over a space of the same name, as in xWiki."""
    if not names:
        return (PageReference(wiki, ("Main",), HOME),)
    if len(names) == 1 or (open_end and names[-1] != HOME):
        return (PageReference(wiki, tuple(names), HOME),)
    page = PageReference(wiki, tuple(names[:-1]), names[-1])
    return (page,) if page.is_home else (page, page.nested)


def _rest_page(segments: Sequence[str]) -> PageReference:
    """The page of ``wikis/{wiki}/spaces/{space}/…/pages/{page}``, and of anything below it."""
    spaces = []
    at = 2
    while list(segments[at : at + 1]) == ["spaces"] and len(segments) > at + 1:
        spaces.append(_name(segments[at + 1]))
        at += 2
    if not spaces or segments[0] != "wikis" or list(segments[at : at + 1]) not in ([], ["pages"]):
        raise _not_a_page()
    name = _name(segments[at + 1]) if len(segments) > at + 1 else HOME
    return PageReference(_name(segments[1]), tuple(spaces), name)


def prefix_of(address: object, page: PageReference, root: str) -> Prefix | None:
    """The prefix of the addresses of a wiki, from the one that it gives for ``page``; None for another host."""
    if not isinstance(address, str):
        return None
    try:
        parts = web_address(address, "reference")
        segments = [_name(segment) for segment in segments_of(parts.path)]
    except (InvalidInput, BadReference):
        return None
    names = [*page.spaces, *([] if page.is_home else [page.name])]
    if segments[-1:] == [HOME] and page.is_home:
        segments.pop()
    if not is_same_host(address, root) or segments[-len(names) :] != names:
        return None
    return tuple(segments[: -len(names)])


def _decoded(segments: Sequence[str]) -> list[str]:
    return [unquote(segment) for segment in segments]


def _name(segment: str) -> str:
    """Decode one segment. Servers decode a plus sign as a space."""
    try:
        return unquote(segment.replace("+", " "), errors="strict")
    except UnicodeDecodeError as exc:
        raise BadReference(segment) from exc


def _elsewhere(parts: SplitResult, segments: Sequence[str]) -> WrongHost:
    host = parts.netloc.rpartition("@")[2]
    where = f"{host}/{segments[0]}" if segments else host
    return WrongHost("reference", host, _("This is a page of {where}. There is no source for it yet.", where=where))


def _not_a_page() -> InvalidInput:
    return InvalidInput("reference", _("This address is no page: open the page in xWiki and paste its address."))


def _no_page(text: str) -> InvalidInput:
    return InvalidInput(
        "reference", _("“{text}” is no page: give its address, or its reference: Space.Page.", text=_short(text))
    )


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
