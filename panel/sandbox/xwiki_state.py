"""In-memory state of the xWiki stand-in: documents with history, users, rights, locks, moves, and the index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

from panel.sandbox.xwiki_index import Index, Key
from panel.sandbox.xwiki_page import REDIRECT_CLASS, Change, Page, Reference, User, WikiObject, moment


class Wiki:
    """The state. It is not thread-safe: the stand-in handles each request under one lock."""

    def __init__(self, index_lag: float | None) -> None:
        self.pages: dict[Reference, Page] = {}
        self.translations: dict[Reference, dict[str, Page]] = {}
        """Translations by language. A translation outlives the page, and can exist without it."""
        self.history: dict[Key, list[Page]] = {}
        self.users: dict[str, User] = {}
        self.private: dict[str, frozenset[str]] = {}
        """Denied space or page → the logins that may view it."""
        self.guests_may_view = True
        self.locked: set[Reference] = set()
        self.index = Index(index_lag, lambda key: self.document(*key))
        self._deleted: dict[Reference, list[Page]] = {}
        self._ordered: list[Page] | None = None
        self._spaces: list[tuple[str, ...]] | None = None
        self._parents: frozenset[str] | None = None

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

    # --- documents -------------------------------------------------------------------------------------------

    def document(self, reference: Reference, language: str = "") -> Page | None:
        if language:
            return self.translations.get(reference, {}).get(language)
        return self.pages.get(reference)

    def languages(self, reference: Reference) -> list[str]:
        return sorted(self.translations.get(reference, {}))

    def store(self, page: Page) -> Page:
        """Store a version; the index is updated later."""
        self.history.setdefault((page.reference, page.language), []).append(page)
        return self._keep(page)

    def _keep(self, page: Page) -> Page:
        """Replace the current version without a new one in the history."""
        if page.language:
            self.translations.setdefault(page.reference, {})[page.language] = page
        else:
            self.pages[page.reference] = page
        self._changed((page.reference, page.language))
        return page

    def _changed(self, key: Key) -> None:
        self._ordered = self._spaces = self._parents = None
        self.index.schedule(key)

    def remove(self, reference: Reference) -> None:
        """Delete a page. Its translations remain, as after a DELETE over REST."""
        del self.pages[reference]
        self._deleted[reference] = self.history.pop((reference, ""))
        self._changed((reference, ""))

    def remove_translation(self, reference: Reference, language: str) -> None:
        del self.translations[reference][language]
        self.history.pop((reference, language), None)
        self._changed((reference, language))

    def restore(self, reference: Reference) -> Page:
        """Take a page back from the recycle bin, with its creation time and creator. Raises KeyError."""
        versions = self.history[reference, ""] = self._deleted.pop(reference)
        return self._keep(replace(versions[-1], saved_again=True))

    def hide_unsaved(self, reference: Reference, *, hidden: bool) -> None:
        """Change the kept copy of a page without saving it, as a server does that answers 304 to ``hidden`` alone."""
        self.pages[reference] = replace(self.pages[reference], hidden=hidden)
        self._ordered = None

    def mark_all_saved(self) -> None:
        """Treat all pages as saved again, which is what an index sees that was built anew."""
        for page in list(self.pages.values()):
            self._keep(replace(page, saved_again=True))

    # --- lists -----------------------------------------------------------------------------------------------

    def in_order(self) -> list[Page]:
        """Return all pages by full name, in binary order, without translations."""
        if self._ordered is None:
            self._ordered = sorted(self.pages.values(), key=lambda page: page.reference.full_name)
        return self._ordered

    def documents(self) -> list[Page]:
        """Return all pages and translations by full name, a page before its translations."""
        found = [*self.pages.values(), *(one for by in self.translations.values() for one in by.values())]
        return sorted(found, key=lambda page: (page.reference.full_name, page.language))

    def spaces(self) -> list[tuple[str, ...]]:
        """Return every space with a page at any depth, outer before inner."""
        if self._spaces is None:
            own = {reference.spaces for reference in self.pages}
            self._spaces = sorted({spaces[:depth] for spaces in own for depth in range(1, len(spaces) + 1)})
        return self._spaces

    def is_parent(self, full_name: str) -> bool:
        """Whether a page names ``full_name`` as its parent."""
        if self._parents is None:
            self._parents = frozenset(page.parent for page in self.pages.values())
        return full_name in self._parents

    # --- moves -----------------------------------------------------------------------------------------------

    def rename(self, old: Reference, new: Reference, *, redirect: bool = False) -> Page:
        """Move a page with its history and translations: it keeps its creation time and creator, and gains a minor
        version. With ``redirect`` a hidden page with the new place remains. Raises KeyError."""
        for language in ("", *self.languages(old)):
            self._move((old, language), new)
        page = self.pages[new]
        if redirect:
            self.store(_redirect(old, page))
        return page

    def _move(self, key: Key, new: Reference) -> None:
        reference, language = key
        page = self.document(*key)
        if page is None:
            raise KeyError(reference.full_name)
        self.history[new, language] = [replace(one, reference=new) for one in self.history.pop(key)]
        if language:
            self.remove_translation(reference, language)
        else:
            del self.pages[reference]
            self._changed(key)
        self.store(replace(page, reference=new, minor=page.minor + 1, date=moment(), saved_again=True))

    def copy(self, old: Reference, new: Reference, author: str) -> Page:
        """Copy a page: the copy is created now, by ``author``. Raises KeyError."""
        now = moment()
        copied = replace(self.pages[old], reference=new, created=now, creator=author, author=author, date=now)
        return self.store(replace(copied, content_date=now, major=1, minor=1, saved_again=False))

    def move_space(self, old: tuple[str, ...], new: tuple[str, ...], *, redirect: bool = False) -> None:
        """Move all pages of a space, at any depth."""
        depth = len(old)
        for reference in [one for one in self.pages if one.spaces[:depth] == old]:
            self.rename(reference, Reference(new + reference.spaces[depth:], reference.name), redirect=redirect)

    # --- changes ---------------------------------------------------------------------------------------------

    def save(
        self, reference: Reference, change: Change, user: User, *, language: str = "", minor: bool = False
    ) -> Page:
        """Create or overwrite a document as a PUT does, without a conflict check."""
        before = self.document(reference, language)
        if before is None:
            return self.store(_created(reference, change, user, language))
        after = replace(before, hidden=bool(change.hidden), **_sent(change))
        if after == before:
            return self._keep(replace(before, saved_again=True))
        return self.store(_next_version(before, after, user, change.comment, minor=minor))

    def add_object(self, reference: Reference, class_name: str, values: dict[str, str], user: User) -> Page:
        """Attach an object to a page. Raises KeyError."""
        before = self.pages[reference]
        after = replace(before, objects=(*before.objects, new_object(class_name, values)))
        return self.store(_next_version(before, after, user, "", minor=False))


def new_object(class_name: str, values: dict[str, str]) -> WikiObject:
    return WikiObject(class_name, values, str(uuid4()))


def _redirect(old: Reference, moved: Page) -> Page:
    now = moment()
    location = new_object(REDIRECT_CLASS, {"location": moved.reference.id})
    return Page(
        old, "", "", moved.author, now, moved.author, now, now, syntax=moved.syntax, hidden=True, objects=(location,)
    )


def _sent(change: Change) -> dict[str, Any]:
    values = {"title": change.title, "content": change.content, "syntax": change.syntax, "parent": change.parent}
    return {name: value for name, value in values.items() if value is not None}


def _created(reference: Reference, change: Change, user: User, language: str) -> Page:
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
        hidden=bool(change.hidden),
        comment=change.comment,
        language=language,
    )


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
        saved_again=True,
    )
