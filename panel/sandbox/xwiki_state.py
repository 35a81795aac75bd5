"""In-memory state of the xWiki stand-in: pages with history, users, rights, locks, and a Solr index with a delay."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

HOME = "WebHome"
WIKI = "xwiki"


def escape_name(name: str, *, separators: str = ".") -> str:
    r"""Escape a name for use in a reference: ``07. Dev`` becomes ``07\. Dev``."""
    return re.sub(f"[\\\\{re.escape(separators)}]", lambda match: "\\" + match.group(), name)


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference of a document: its spaces, outermost first, and its name."""

    spaces: tuple[str, ...]
    name: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        r"""Parse ``[xwiki:]A.B.C``, in which a backslash escapes the next character. Raises ValueError."""
        parts = re.findall(r"((?:\\.|[^\\.])*)(?:\.|$)", text.removeprefix(f"{WIKI}:"))[:-1]
        names = [re.sub(r"\\(.)", r"\1", part) for part in parts]
        if len(names) < 2 or not all(names):
            raise ValueError(f"Not the reference of a page: {text!r}")
        return cls(tuple(names[:-1]), names[-1])

    @property
    def space(self) -> str:
        return ".".join(escape_name(name, separators=".:") for name in self.spaces)

    @property
    def full_name(self) -> str:
        return f"{self.space}.{escape_name(self.name)}"

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


@dataclass(frozen=True, slots=True)
class User:
    """An account: its login, its password, and the spaces it may edit."""

    login: str
    password: str = field(repr=False)
    name: str = ""
    edits: frozenset[str] = frozenset()
    programming: bool = False

    @property
    def full_name(self) -> str:
        return f"XWiki.{self.login}"

    @property
    def reference(self) -> str:
        return f"{WIKI}:{self.full_name}"


@dataclass(frozen=True, slots=True)
class Translation:
    title: str
    content: str


@dataclass(frozen=True, slots=True)
class Page:
    """One version of a document."""

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
    translations: Mapping[str, Translation] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def plain_title(self) -> str:
        return self.title or self.reference.own_name

    @property
    def parent_name(self) -> str:
        """The full name of the stored parent, otherwise of the parent in the hierarchy."""
        outer = self.reference.parent
        return self.parent or (outer.full_name if outer else "")

    def translated(self, language: str) -> Page:
        translation = self.translations[language]
        return replace(self, title=translation.title, content=translation.content)


@dataclass(frozen=True, slots=True)
class Change:
    """The values of a PUT; ``None`` keeps a field. ``hidden`` is always written, as on the real server."""

    title: str | None = None
    content: str | None = None
    syntax: str | None = None
    parent: str | None = None
    hidden: bool = False
    comment: str = ""
    objects: bool = False

    @property
    def saves(self) -> bool:
        """Whether the server saves an existing page for this change."""
        return self.objects or any(value is not None for value in (self.title, self.content, self.syntax, self.parent))


def moment() -> datetime:
    """Return the current time in whole seconds, which is the precision of the database."""
    return datetime.now(UTC).replace(microsecond=0)


class Wiki:
    """The state. It is not thread-safe: the stand-in handles each request under one lock."""

    def __init__(self, solr_lag: float | None) -> None:
        self.pages: dict[Reference, Page] = {}
        self.history: dict[Reference, list[Page]] = {}
        self.users: dict[str, User] = {}
        self.private: dict[str, frozenset[str]] = {}
        """Denied space or page → the logins that may view it."""
        self.guests_may_view = True
        self.locked: set[Reference] = set()
        self.solr_lag = solr_lag
        self._index: dict[Reference, Page] = {}
        self._pending: list[tuple[float, Reference]] = []

    # --- rights ----------------------------------------------------------------------------------------------

    def may_view(self, user: User | None, reference: Reference) -> bool:
        if user is None and not self.guests_may_view:
            return False
        if user is not None and user.programming:
            return True
        viewers = [logins for prefix, logins in self.private.items() if reference.below(prefix)]
        return all(user is not None and user.login in logins for logins in viewers)

    def may_edit(self, user: User | None, reference: Reference) -> bool:
        if user is None:
            return False
        return user.programming or any(reference.below(space) for space in user.edits)

    def display_name(self, author: str) -> str:
        """Return the display name of ``XWiki.login``."""
        login = author.rpartition(".")[2]
        user = self.users.get(login)
        return user.name if user and user.name else login

    # --- pages -----------------------------------------------------------------------------------------------

    def store(self, page: Page) -> Page:
        """Store a version; the index is updated later."""
        self.pages[page.reference] = page
        self.history.setdefault(page.reference, []).append(page)
        self._schedule_indexing(page.reference)
        return page

    def remove(self, reference: Reference) -> None:
        del self.pages[reference]
        self._schedule_indexing(reference)

    def rename(self, old: Reference, new: Reference) -> Page:
        page = replace(self.pages[old], reference=new)
        self.history[new] = [replace(version, reference=new) for version in self.history.pop(old)][:-1]
        self.remove(old)
        return self.store(page)

    def save(self, reference: Reference, change: Change, user: User, *, minor: bool = False) -> Page:
        """Create or overwrite a page as a PUT does, without a conflict check."""
        before = self.pages.get(reference)
        if before is None:
            return self.store(self._created(reference, change, user))
        after = replace(
            before,
            title=before.title if change.title is None else change.title,
            content=before.content if change.content is None else change.content,
            syntax=before.syntax if change.syntax is None else change.syntax,
            parent=before.parent if change.parent is None else change.parent,
            hidden=change.hidden,
        )
        if after == before:
            return before
        return self.store(_next_version(before, after, user, change.comment, minor=minor))

    def _created(self, reference: Reference, change: Change, user: User) -> Page:
        now = moment()
        return Page(
            reference,
            change.title or "",
            change.content or "",
            creator=user.full_name,
            created=now,
            author=user.full_name,
            date=now,
            content_date=now,
            syntax=change.syntax or "xwiki/2.1",
            parent=change.parent or "",
            hidden=change.hidden,
            comment=change.comment,
        )

    def in_order(self) -> list[Page]:
        """Return all pages by full name, in binary order."""
        return sorted(self.pages.values(), key=lambda page: page.reference.full_name)

    def spaces(self) -> list[tuple[str, ...]]:
        """Return every space with a page at any depth, outer before inner."""
        found = {reference.spaces[:depth] for reference in self.pages for depth in range(1, len(reference.spaces) + 1)}
        return sorted(found)

    # --- the Solr index --------------------------------------------------------------------------------------

    def _schedule_indexing(self, reference: Reference) -> None:
        due = float("inf") if self.solr_lag is None else time.monotonic() + self.solr_lag
        self._pending.append((due, reference))

    def indexed(self) -> Iterator[Page]:
        """Return the indexed pages, which can be older than the stored ones."""
        now = time.monotonic()
        self._update_index([reference for due, reference in self._pending if due <= now])
        self._pending = [entry for entry in self._pending if entry[0] > now]
        return iter(sorted(self._index.values(), key=lambda page: page.reference.full_name))

    def index(self) -> None:
        """Index all pending changes now."""
        self._update_index([reference for _, reference in self._pending])
        self._pending.clear()

    def index_now(self, reference: Reference) -> None:
        """Index one page now."""
        self._pending = [entry for entry in self._pending if entry[1] != reference]
        self._update_index([reference])

    def _update_index(self, references: Iterable[Reference]) -> None:
        for reference in references:
            page = self.pages.get(reference)
            if page is None:
                self._index.pop(reference, None)
            else:
                self._index[reference] = page


def _next_version(before: Page, after: Page, user: User, comment: str, *, minor: bool) -> Page:
    now = moment()
    return replace(
        after,
        author=user.full_name,
        date=now,
        content_date=now if after.content != before.content else before.content_date,
        comment=comment,
        major=before.major if minor else before.major + 1,
        minor=before.minor + 1 if minor else 1,
    )
