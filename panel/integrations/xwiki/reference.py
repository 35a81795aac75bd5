r"""Parses and formats references and addresses of xWiki pages without a request.

A page is named by its wiki, its spaces from the outside in, and its own name. Written as ``xwiki:07\. Dev.Sub.WebHome``
a backslash makes the next character literal.
https://www.xwiki.org/xwiki/bin/view/Documentation/DevGuide/Architecture/URL%20Architecture/Standard%20URL%20Format/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from panel.connector import origin_of
from panel.core.errors import InvalidInput, WrongHost

HOME = "WebHome"
MAIN_WIKI = "xwiki"

_LONGEST = 1000
_LONGEST_ADDRESS = 4000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(r"[\w.:-]+")
_WIKI_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

_PAGE_ACTIONS = frozenset({"view", "edit", "inline", "get", "viewrev"})
_FILE_ACTIONS = frozenset({"download", "downloadrev", "viewattachrev"})
_OTHER_ACTIONS = frozenset(
    {"admin", "cancel", "create", "delete", "deleteversions", "export", "history", "jsx", "lock", "login", "loginerror"}
    | {"loginsubmit", "logout", "preview", "propadd", "propupdate", "register", "rename", "resources", "rollback"}
    | {"save", "saveandcontinue", "skin", "ssx", "temp", "undelete", "unknown", "upload", "webjars"}
)
"""Actions whose addresses change something or serve a file. A link cannot point to them."""


class BadReference(ValueError):
    """The text names no page."""


@dataclass(frozen=True, slots=True)
class PageReference:
    """The location of a page. Equal references are the same page."""

    wiki: str
    spaces: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        names = (*self.spaces, self.name)
        if not self.wiki or not self.spaces or not all(names):
            raise BadReference("a page has a wiki, at least one space and a name")
        if any(_CONTROL.search(part) for part in (self.wiki, *names)):
            raise BadReference("control characters are not part of a name")

    @classmethod
    def parse(cls, text: str, wiki: str = MAIN_WIKI) -> PageReference:
        """Parse ``[wiki:]Space.Page``. ``wiki`` is the default. Raises BadReference."""
        if len(text) > _LONGEST:
            raise BadReference("too long")
        prefix, local = _without_wiki(text)
        *spaces, name = split_names(local)
        return cls(wiki if prefix is None else prefix, tuple(spaces), name)

    def __str__(self) -> str:
        return f"{self.wiki}:{self.local}"

    @property
    def local(self) -> str:
        """``Space.Page``, without the wiki."""
        return f"{self.space}.{_escaped(self.name, '.')}"

    @property
    def space(self) -> str:
        """The spaces in the notation of xWiki: ``07\\. Dev.Sub``."""
        return local_space(self.spaces)

    @property
    def is_home(self) -> bool:
        """Whether it is the home page of its space (``WebHome``)."""
        return self.name == HOME

    @property
    def outer(self) -> tuple[str, ...]:
        """The spaces above the page. A home page is shown as its space, so the space is not above it."""
        return self.spaces[:-1] if self.is_home else self.spaces

    @property
    def label(self) -> str:
        """The name to show for a page without a title."""
        return self.spaces[-1] if self.is_home else self.name

    @property
    def nested(self) -> PageReference:
        """The nested page of the same name: ``A.B`` becomes ``A.B.WebHome``."""
        return PageReference(self.wiki, (*self.spaces, self.name), HOME)

    @property
    def is_reachable(self) -> bool:
        """Whether the page has a usable REST address. Servers and proxies refuse encoded slashes."""
        return not any(is_unusable(name) for name in (*self.spaces, self.name))

    @property
    def path(self) -> tuple[str, ...]:
        """Segments of the REST address below ``/rest``."""
        spaces = [segment for space in self.spaces for segment in ("spaces", space)]
        return ("wikis", self.wiki, *spaces, "pages", self.name)


def is_unusable(name: str) -> bool:
    """Whether a name cannot be one segment of an address."""
    return name in (".", "..") or "/" in name or "\\" in name


def local_space(spaces: Sequence[str]) -> str:
    return ".".join(_escaped(name, ".:") for name in spaces)


def split_names(text: str) -> list[str]:
    """Split a reference without a wiki at its dots. A backslash makes the next character literal."""
    names: list[str] = []
    name: list[str] = []
    literal = False
    for char in text:
        if literal or char not in "\\.":
            name.append(char)
            literal = False
        elif char == "\\":
            literal = True
        else:
            names.append("".join(name))
            name.clear()
    return [*names, "".join(name)]


def names_of_space(text: str) -> tuple[str, ...]:
    """The names in a space's id: ``xwiki:A.B``, or ``A.B`` as in search results."""
    return tuple(split_names(_without_wiki(text)[1]))


def looks_like_reference(text: str, wiki: str) -> bool:
    """Whether typed text is an address or a reference, and not words to search for."""
    typed = text.strip()
    if _ADDRESS.match(typed):
        return True
    if typed.startswith(f"{wiki}:"):
        return re.match(r"\S", typed.removeprefix(f"{wiki}:")) is not None
    if re.search(r"\s", typed) and "\\." not in typed:
        return False
    names = split_names(typed)
    whole = all(name and name == name.strip() and not is_unusable(name) for name in names)
    return len(names) > 1 and whole and _reads_as_names(typed)


def _reads_as_names(typed: str) -> bool:
    """Whether the text is neither a number such as 4.20 nor an e-mail address."""
    return "@" not in typed and any(char.isalpha() for char in typed)


def _without_wiki(text: str) -> tuple[str | None, str]:
    """Split off the wiki id. Only a colon before the first dot ends it; later ones belong to a name."""
    literal = False
    for at, char in enumerate(text):
        if literal:
            literal = False
        elif char == "\\":
            literal = True
        elif char == ":":
            return text[:at], text[at + 1 :]
        elif char == ".":
            break
    return None, text


def _escaped(name: str, separators: str) -> str:
    return "".join(f"\\{char}" if char == "\\" or char in separators else char for char in name)


# --- addresses ---------------------------------------------------------------------------------------------------


def instance_root(location: str) -> str:
    """The instance root of a root, an API address or a page, without a trailing slash.

    Raises InvalidInput("location", …) when the address has no recognisable root.
    """
    parts = _web_address(location.strip(), "location")
    if "@" in parts.netloc:
        raise InvalidInput("location", "The address carries a user name; that belongs in the sign-in fields.")
    if parts.query or parts.fragment:
        raise InvalidInput("location", "Give the address without the part from “?” or “#” on.")
    segments = _segments(parts.path)
    if any(unquote(segment) in (".", "..") for segment in segments):
        raise InvalidInput("location", "The address goes up in its path; give it in full.")
    if any(char.isspace() for char in parts.path):
        raise InvalidInput("location", "There is a blank in the address.")
    path = segments[: _where_instance_ends(segments)]
    return origin_of(parts.geturl()) + "".join(f"/{segment}" for segment in path)


def _where_instance_ends(segments: Sequence[str]) -> int:
    """Number of segments before ``bin``, ``rest`` or ``wiki/<id>/<action>``. A context path may be ``wiki``."""
    for at, segment in enumerate(segments):
        if segment in ("bin", "rest"):
            return at
        following = segments[at + 1 : at + 3]
        if segment == "wiki" and len(following) == 2 and following[0] != "bin" and following[1] in _PAGE_ACTIONS:
            return at
    return len(segments)


def page_url(root: str, reference: PageReference) -> str:
    """The browser address of a page."""
    *spaces, name = [quote(part, safe="") for part in (*reference.spaces, reference.name)]
    kind = "bin" if reference.wiki == MAIN_WIKI else f"wiki/{quote(reference.wiki, safe='')}"
    return f"{root}/{kind}/view/{'/'.join(spaces)}/{'' if reference.is_home else name}"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The candidates for a pasted address or typed reference, the likeliest first."""

    candidates: tuple[PageReference, ...]
    omits_wiki: bool = False
    """Whether the address has no wiki id: it belongs to the main wiki, or to a subwiki with its own host."""


def parse_pasted(text: str, root: str, wiki: str) -> Pasted:
    """The page of a pasted address or typed reference.

    Raises InvalidInput("reference", …) when there is none, WrongHost for an address outside ``root``.
    """
    typed = text.strip()
    if not typed:
        raise InvalidInput("reference", "Give the address of a page, or its reference: Space.Page.")
    try:
        pasted = _in_address(typed, root, wiki) if _ADDRESS.match(typed) else _typed(typed, wiki)
    except BadReference:
        raise _no_page(typed) from None
    _check_wiki(pasted, wiki)
    if not all(candidate.is_reachable for candidate in pasted.candidates):
        raise InvalidInput("reference", "xWiki cannot serve a page whose name has a slash or a backslash.")
    return pasted


def _check_wiki(pasted: Pasted, wiki: str) -> None:
    other = pasted.candidates[0].wiki
    if other != wiki:
        raise InvalidInput("reference", f"This page is in the wiki “{other}”; this source reads the wiki “{wiki}”.")


def _typed(typed: str, wiki: str) -> Pasted:
    prefix, local = _without_wiki(typed)
    if prefix is not None and not _WIKI_ID.fullmatch(prefix):
        raise BadReference(typed)
    if len(split_names(local)) == 1 and local:
        raise InvalidInput("reference", f"“{_short(typed)}” has no space: write Space.Page, or search for it.")
    reference = PageReference.parse(typed, wiki)
    return Pasted((reference,) if reference.is_home else (reference, reference.nested))


def _in_address(typed: str, root: str, wiki: str) -> Pasted:
    if len(typed) > _LONGEST_ADDRESS:
        raise BadReference(typed)
    parts = _web_address(typed, "reference")
    segments = _below_root(parts, root)
    ends_open = parts.path.endswith("/")
    if segments[:1] == ["wiki"] and len(segments) > 1:
        return Pasted(_read(_names(segments[2:]), _name(segments[1]), open_end=ends_open))
    names = _names(segments[1:] if segments[:1] == ["bin"] else segments)
    return Pasted(_read(names, wiki, open_end=ends_open), omits_wiki=True)


def _below_root(parts: SplitResult, root: str) -> list[str]:
    """The segments below the instance root. Raises WrongHost for an address outside it."""
    segments, base = _segments(parts.path), _segments(urlsplit(root).path)
    host = parts.netloc.rpartition("@")[2]
    same_origin = origin_of(parts.geturl()) == origin_of(root)
    if same_origin and [unquote(s) for s in segments[: len(base)]] == [unquote(s) for s in base]:
        return segments[len(base) :]
    where = f"{host}/{segments[0]}" if same_origin and segments else host
    raise WrongHost("reference", host, f"This is a page of {where}. There is no source for it yet.")


def _names(segments: Sequence[str]) -> list[str]:
    """The names of a page from the segments after ``bin``, without the action and the name of an attachment."""
    action = segments[0] if segments else "view"
    if action in _PAGE_ACTIONS:
        return [_name(segment) for segment in segments[1:]]
    if action in _FILE_ACTIONS:
        return [_name(segment) for segment in segments[1:-1]]
    if action in _OTHER_ACTIONS or action == "rest":
        raise InvalidInput("reference", "This address is no page: open the page in xWiki and paste its address.")
    return [_name(segment) for segment in segments]


def _read(names: Sequence[str], wiki: str, *, open_end: bool) -> tuple[PageReference, ...]:
    """A terminal page takes precedence over a space of the same name, as in xWiki."""
    if not names:
        return (PageReference(wiki, ("Main",), HOME),)
    if len(names) == 1 or (open_end and names[-1] != HOME):
        return (PageReference(wiki, tuple(names), HOME),)
    page = PageReference(wiki, tuple(names[:-1]), names[-1])
    return (page,) if page.is_home else (page, page.nested)


def _segments(path: str) -> list[str]:
    """The segments, still encoded: an encoded slash belongs to a name."""
    bare = (re.sub(r";jsessionid=.*", "", segment, flags=re.IGNORECASE) for segment in path.split("/"))
    return [segment for segment in bare if segment]


def _name(segment: str) -> str:
    """Decode one segment. Servers decode a plus sign as a space."""
    try:
        return unquote(segment.replace("+", " "), errors="strict")
    except UnicodeDecodeError as exc:
        raise BadReference(segment) from exc


def _web_address(text: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _CONTROL.search(text) or "\\" in text:
        raise InvalidInput(field, "Give the whole address, from https:// on.")
    return parts


def _no_page(text: str) -> InvalidInput:
    return InvalidInput("reference", f"“{_short(text)}” is no page: give its address, or its reference: Space.Page.")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
