"""Content and rights of the xWiki stand-in, as tests and seeds set them, without checks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from panel.sandbox.standin import StandIn
from panel.sandbox.xwiki_page import HOME, Page, Reference, User, moment, split_names
from panel.sandbox.xwiki_state import Wiki


class XWikiContent(StandIn):
    """The state of the stand-in, and the methods that change it from outside."""

    def __init__(self, index_lag: float | None) -> None:
        super().__init__()
        self.wiki = Wiki(index_lag)
        self._state = threading.RLock()

    # --- users and rights ------------------------------------------------------------------------------------

    def add_user(
        self, login: str, password: str, *, name: str = "", edits: Iterable[str] = (), programming: bool = False
    ) -> User:
        with self._state:
            user = self.wiki.users[login] = User(login, password, name or login, frozenset(edits), programming)
        return user

    def switch_off_user(self, login: str) -> None:
        """Deactivate an account: from now on its requests are a guest's."""
        with self._state:
            self.wiki.users[login] = replace(self.wiki.users[login], active=False)

    def grant_programming(self, login: str, *, granted: bool = True) -> None:
        """Grant or revoke the programming right, which gives access to every space and to hidden pages in Solr."""
        with self._state:
            self.wiki.users[login] = replace(self.wiki.users[login], programming=granted)

    def deny_view(self, prefix: str, *, except_for: Iterable[str] = ()) -> None:
        """Deny view on a page, or on a space with everything below it, except for the given logins."""
        with self._state:
            self.wiki.private[prefix] = frozenset(except_for)

    def allow_view(self, prefix: str) -> None:
        with self._state:
            self.wiki.private.pop(prefix, None)

    @property
    def guests_may_view(self) -> bool:
        return self.wiki.guests_may_view

    @guests_may_view.setter
    def guests_may_view(self, allowed: bool) -> None:
        self.wiki.guests_may_view = allowed

    # --- pages -----------------------------------------------------------------------------------------------

    def add_page(
        self,
        reference: str,
        *,
        title: str = "",
        content: str = "",
        hidden: bool = False,
        version: str = "1.1",
        author: str = "XWiki.alice",
        modified: datetime | None = None,
        created: datetime | None = None,
        syntax: str = "xwiki/2.1",
        parent: str = "",
        indexed: bool = True,
    ) -> Page:
        """Store or replace a page without checking rights. A version other than 1.1 counts as saved again."""
        when = modified or moment()
        major, _, minor = version.partition(".")
        page = Page(
            Reference.parse(reference),
            title,
            content,
            creator=author,
            created=created or when,
            author=author,
            date=when,
            content_date=when,
            syntax=syntax,
            parent=parent,
            hidden=hidden,
            major=int(major),
            minor=int(minor),
            saved_again=version != "1.1",
        )
        return self._stored(page, indexed=indexed)

    def add_translation(
        self, reference: str, language: str, *, title: str, content: str = "", created: datetime | None = None,
        indexed: bool = True,
    ) -> Page:  # fmt: skip
        """Store a translation, whether the page exists or not. It is created now, unless ``created`` is given."""
        now = created or moment()
        page = Page(
            Reference.parse(reference), title, content, "XWiki.alice", now, "XWiki.alice", now, now, language=language
        )
        return self._stored(page, indexed=indexed)

    def _stored(self, page: Page, *, indexed: bool) -> Page:
        with self._state:
            self.wiki.store(page)
            if indexed:
                self.wiki.index.run_for((page.reference, page.language))
        return page

    def add_spaces(self, outer: str, count: int, *, title: str = "Case {number}") -> list[str]:
        """Add ``count`` nested pages, each a space of its own, below ``outer``. Return their references."""
        names = [f"{outer}.Case{number}.{HOME}" for number in range(1, count + 1)]
        for number, name in enumerate(names, start=1):
            self.add_page(name, title=title.format(number=number))
        return names

    def page(self, reference: str) -> Page:
        """Return the current version of a page. Raises KeyError."""
        with self._state:
            return self.wiki.pages[Reference.parse(reference)]

    def has_page(self, reference: str) -> bool:
        with self._state:
            return Reference.parse(reference) in self.wiki.pages

    def remove_page(self, reference: str) -> None:
        """Delete a page; its translations remain."""
        with self._state:
            self.wiki.remove(Reference.parse(reference))

    def restore_page(self, reference: str) -> Page:
        """Restore a deleted page with its creation time and creator."""
        with self._state:
            return self.wiki.restore(Reference.parse(reference))

    def rename_page(self, old: str, new: str, *, redirect: bool = False) -> Page:
        """Rename a page, which keeps its creation time and creator; with ``redirect`` a hidden page remains."""
        with self._state:
            return self.wiki.rename(Reference.parse(old), Reference.parse(new), redirect=redirect)

    def copy_page(self, old: str, new: str, *, author: str = "XWiki.alice") -> Page:
        """Copy a page; the copy is created now, by ``author``."""
        with self._state:
            return self.wiki.copy(Reference.parse(old), Reference.parse(new), author)

    def move_space(self, old: str, new: str, *, redirect: bool = False) -> None:
        """Move a space with everything below it: ``move_space("Dev", "Archive.Dev")``."""
        with self._state:
            self.wiki.move_space(split_names(old), split_names(new), redirect=redirect)

    def lock_page(self, reference: str, *, locked: bool = True) -> None:
        """Lock a page, as an open editor does, or unlock it."""
        with self._state:
            (self.wiki.locked.add if locked else self.wiki.locked.discard)(Reference.parse(reference))

    # --- the index -------------------------------------------------------------------------------------------

    def index(self) -> None:
        """Index all pending changes."""
        with self._state:
            self.wiki.index.run()

    def reindex(self) -> None:
        """Index everything anew, which also makes the field ``reference`` of new pages regular."""
        with self._state:
            self.wiki.mark_all_saved()
            self.wiki.index.run()
