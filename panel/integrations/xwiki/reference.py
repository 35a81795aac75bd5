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
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text import one_line

HOME = "WebHome"
MAIN_WIKI = "xwiki"

LONGEST = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(r"[\w.:-]+")

_VIEW_ACTIONS = frozenset({"view", "edit", "inline", "get", "viewrev"})


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
        if len(text) > LONGEST:
            raise BadReference("too long")
        prefix, local = without_wiki(text)
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
        """Whether the page has a REST address: clients and servers take a dot for a step in the path."""
        return not any(name in (".", "..") for name in (*self.spaces, self.name))

    @property
    def has_separator(self) -> bool:
        """Whether a name has a slash or backslash, which some servers refuse in an address, however it is encoded."""
        return any("/" in name or "\\" in name for name in (*self.spaces, self.name))

    @property
    def path(self) -> tuple[str, ...]:
        """Segments of the REST address below ``/rest``."""
        spaces = [segment for space in self.spaces for segment in ("spaces", space)]
        return ("wikis", self.wiki, *spaces, "pages", self.name)


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
    return tuple(split_names(without_wiki(text)[1]))


_BELOW, _TERMINAL = " › ", " · "
"""What stands in a path before the name of a space, and before that of a terminal page."""


def path_of(reference: PageReference) -> str:
    """A page without escapes and ``WebHome``: ``Policy › Housing``, ``› Policy``, terminal ones ``Policy · Notes``.

    ``from_path`` reads it. The reference itself for names that a path cannot show.
    """
    spaces = _BELOW.join(reference.spaces)
    if not reference.is_home:
        path = f"{spaces}{_TERMINAL}{reference.name}"
    else:
        path = spaces if len(reference.spaces) > 1 else f"{_BELOW.lstrip()}{spaces}"
    return path if one_line(path) == path and from_path(path, reference.wiki) == reference else str(reference)


def from_path(text: str, wiki: str) -> PageReference | None:
    """The page of a path; None for other text."""
    if text.startswith(f"{wiki}:"):
        return None
    outer, terminal, name = text.rpartition(_TERMINAL)
    spaces = (outer if terminal else text).removeprefix(_BELOW.lstrip()).split(_BELOW)
    if not terminal and len(spaces) == 1 and not text.startswith(_BELOW.lstrip()):
        return None
    try:
        return PageReference(wiki, tuple(spaces), name if terminal else HOME)
    except BadReference:
        return None


def looks_like_reference(text: str, wiki: str) -> bool:
    """Whether typed text is an address or a reference, and not words to search for."""
    typed = text.strip()
    if ADDRESS.match(typed) or (typed.startswith("[[") and typed.endswith("]]")):
        return True
    if typed.startswith(f"{wiki}:"):
        return re.match(r"\S", typed.removeprefix(f"{wiki}:")) is not None
    if from_path(typed, wiki) is not None:
        return True
    if re.search(r"\s", typed) and "\\." not in typed:
        return False
    return _reads_as_names(typed) and any(map(_are_names, (split_names(typed), typed.split("/"))))


def is_page_address(address: str) -> bool:
    """Whether an address has the form of a page's address at any xWiki."""
    path = urlsplit(address).path
    return re.search(rf"/bin/(?:{'|'.join(_VIEW_ACTIONS)})/|/wiki/[^/]+/view/|/rest/wikis/", path) is not None


def _are_names(names: Sequence[str]) -> bool:
    return len(names) > 1 and all(name and name == name.strip() and name not in (".", "..") for name in names)


def _reads_as_names(typed: str) -> bool:
    """Whether the text is neither a number such as 4.20 nor an e-mail address."""
    return "@" not in typed and any(char.isalpha() for char in typed)


def without_wiki(text: str) -> tuple[str | None, str]:
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
    parts = web_address(location.strip(), "location")
    if "@" in parts.netloc:
        raise InvalidInput("location", _("The address carries a user name; that belongs in the sign-in fields."))
    if parts.query or parts.fragment:
        raise InvalidInput("location", _("Give the address without the part from “?” or “#” on."))
    segments = segments_of(parts.path)
    if any(unquote(segment) in (".", "..") for segment in segments):
        raise InvalidInput("location", _("The address goes up in its path; give it in full."))
    if any(char.isspace() for char in parts.path):
        raise InvalidInput("location", _("There is a blank in the address."))
    path = segments[: _where_instance_ends(segments)]
    return origin_of(parts.geturl()) + "".join(f"/{segment}" for segment in path)


def wiki_in(location: str) -> str:
    """The id of the wiki that an address of a page or of the API names; "" for one that names none."""
    segments = segments_of(web_address(location.strip(), "location").path)
    below = segments[_where_instance_ends(segments) :]
    if below[:2] == ["rest", "wikis"]:
        below = below[1:]
    return unquote(below[1]) if len(below) > 1 and below[0] in ("wiki", "wikis") else ""


def _where_instance_ends(segments: Sequence[str]) -> int:
    """Number of segments before ``bin``, ``rest`` or ``wiki/<id>/<action>``. A context path may be ``wiki``."""
    for at, segment in enumerate(segments):
        if segment in ("bin", "rest"):
            return at
        following = segments[at + 1 : at + 3]
        if segment == "wiki" and len(following) == 2 and following[0] != "bin" and following[1] in _VIEW_ACTIONS:
            return at
    return len(segments)


def page_url(root: str, reference: PageReference) -> str:
    """The browser address of a page."""
    *spaces, name = [quote(part, safe="") for part in (*reference.spaces, reference.name)]
    kind = "bin" if reference.wiki == MAIN_WIKI else f"wiki/{quote(reference.wiki, safe='')}"
    return f"{root}/{kind}/view/{'/'.join(spaces)}/{'' if reference.is_home else name}"


def segments_of(path: str) -> list[str]:
    """The segments, still encoded: an encoded slash belongs to a name."""
    bare = (re.sub(r";jsessionid=.*", "", segment, flags=re.IGNORECASE) for segment in path.split("/"))
    return [segment for segment in bare if segment]


def web_address(text: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _CONTROL.search(text) or "\\" in text:
        raise InvalidInput(field, _("Give the whole address, from https:// on."))
    return parts
