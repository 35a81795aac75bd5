"""Documents of the xWiki stand-in: references, users, pages and their objects, and the change that a PUT makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

HOME = "WebHome"
WIKI = "xwiki"
REDIRECT_CLASS = "XWiki.RedirectClass"


def escape_name(name: str, *, separators: str = ".") -> str:
    r"""Escape a name for use in a reference: ``07. Dev`` becomes ``07\. Dev``."""
    return re.sub(f"[\\\\{re.escape(separators)}]", lambda match: "\\" + match.group(), name)


@lru_cache(50_000)
def _space_name(spaces: tuple[str, ...]) -> str:
    return ".".join(escape_name(name, separators=".:") for name in spaces)


@lru_cache(50_000)
def _full_name(spaces: tuple[str, ...], name: str) -> str:
    return f"{_space_name(spaces)}.{escape_name(name)}"


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference of a document: its spaces, outermost first, and its name."""

    spaces: tuple[str, ...]
    name: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        r"""Parse ``[xwiki:]A.B.C``, in which a backslash escapes the next character. Raises ValueError."""
        names = split_names(text.removeprefix(f"{WIKI}:"))
        if len(names) < 2:
            raise ValueError(f"Not the reference of a page: {text!r}")
        return cls(names[:-1], names[-1])

    @property
    def space(self) -> str:
        return _space_name(self.spaces)

    @property
    def full_name(self) -> str:
        return _full_name(self.spaces, self.name)

    @property
    def id(self) -> str:
        return f"{WIKI}:{self.full_name}"

    @property
    def is_home(self) -> bool:
        return self.name == HOME

    @property
    def parent(self) -> Reference | None:
        """The parent: the home of the own space for a terminal page, of the outer space for a nested page."""
        spaces = self.spaces[:-1] if self.is_home else self.spaces
        return Reference(spaces, HOME) if spaces else None

    @property
    def own_name(self) -> str:
        """The name of a page without a title."""
        return self.spaces[-1] if self.is_home else self.name

    def below(self, prefix: str) -> bool:
        """Whether ``prefix`` names this page or a space that contains it."""
        return self.full_name == prefix or self.full_name.startswith(f"{prefix}.")


def split_names(text: str) -> tuple[str, ...]:
    r"""Split ``A.B\.1.C`` at its unescaped dots. Raises ValueError for an empty name."""
    parts = re.findall(r"((?:\\.|[^\\.])*)(?:\.|$)", text)[:-1]
    names = tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)
    if not names or not all(names):
        raise ValueError(f"Not a reference: {text!r}")
    return names


@dataclass(frozen=True, slots=True)
class User:
    """An account: its login, its password, and the spaces it may edit."""

    login: str
    password: str = field(repr=False)
    name: str = ""
    edits: frozenset[str] = frozenset()
    programming: bool = False
    active: bool = True

    @property
    def full_name(self) -> str:
        return f"XWiki.{self.login}"

    @property
    def reference(self) -> str:
        return f"{WIKI}:{self.full_name}"


@dataclass(frozen=True, slots=True)
class WikiObject:
    """An object attached to a page: its class and the values of its properties."""

    class_name: str
    values: Mapping[str, str]
    guid: str


@dataclass(frozen=True, slots=True)
class Page:
    """One version of a document. A translation is a document of its own with a ``language``."""

    reference: Reference
    title: str
    content: str
    creator: str
    created: datetime
    author: str
    date: datetime
    """Last change of the document, which search results show."""
    content_date: datetime
    """Last change of the content, which a page shows as ``modified``."""
    syntax: str = "xwiki/2.1"
    parent: str = ""
    hidden: bool = False
    major: int = 1
    minor: int = 1
    comment: str = ""
    language: str = ""
    objects: tuple[WikiObject, ...] = ()
    saved_again: bool = False
    """Whether the document was saved after it was created, also with identical values."""

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def plain_title(self) -> str:
        return self.title or self.reference.own_name

    @property
    def redirect(self) -> Reference | None:
        """The new place of a page that was moved and left a redirect."""
        for one in self.objects:
            if one.class_name == REDIRECT_CLASS:
                return Reference.parse(one.values["location"])
        return None


@dataclass(frozen=True, slots=True)
class Change:
    """The values of a PUT; ``None`` keeps a field. ``hidden`` is always written, as on the real server."""

    title: str | None = None
    content: str | None = None
    syntax: str | None = None
    parent: str | None = None
    hidden: bool | None = None
    comment: str = ""
    objects: bool = False

    @property
    def saves(self) -> bool:
        """Whether the server saves an existing page for this change, whatever its version."""
        return self.objects or any(value is not None for value in (self.title, self.content, self.syntax, self.parent))


def moment() -> datetime:
    """Return the current time in whole seconds, which is the precision of the database."""
    return datetime.now(UTC).replace(microsecond=0)
