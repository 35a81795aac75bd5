"""The texts for people about failures of our own storage: one row for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from panel.config import COMMAND
from panel.core.messages import Message, _, sentences
from panel.storage.failures import STORAGE_FACTS, StorageReason, require_rows, storage_reason


@dataclass(frozen=True, slots=True)
class StorageWords:
    """``text`` is the failure in one sentence; ``remedy`` is what to do, in another one.

    The remedy begins with “Nothing was changed” if a refused change certainly did not take place.
    """

    text: Message
    remedy: Message


_RUN_UPGRADE = _("Run: {command}", command=f"{COMMAND} db upgrade")

STORAGE_WORDS: Mapping[StorageReason, StorageWords] = {
    StorageReason.NOT_SET_UP: StorageWords(_("The database is not set up."), _RUN_UPGRADE),
    StorageReason.OLDER: StorageWords(_("The database is of an older Leafpanel."), _RUN_UPGRADE),
    StorageReason.DAMAGED: StorageWords(
        _("The panel's database is damaged."), _("Stop the panel and restore a backup.")
    ),
    StorageReason.FULL: StorageWords(
        _("The disk of the panel's own storage is full."), _("Nothing was changed; make room on it and try again.")
    ),
    StorageReason.READ_ONLY: StorageWords(
        _("The panel's own storage is read-only."),
        _("Nothing was changed; make it writable for the panel and try again."),
    ),
    StorageReason.LOCKED: StorageWords(
        _("The panel's own storage is locked by another process."), _("Nothing was changed; try again.")
    ),
    StorageReason.COMMIT_LOST: StorageWords(
        _("The panel's own storage broke off while it saved."),
        _("We cannot tell whether it was saved. Check before trying again."),
    ),
    StorageReason.UNAVAILABLE: StorageWords(
        _("The panel's own storage does not answer now."), _("Nothing was changed; try again.")
    ),
}
require_rows(STORAGE_WORDS, "STORAGE_WORDS of panel/web/storage_words.py")


def storage_words(exc: Exception) -> Message:
    """What a refused request says about a failure of our storage."""
    words = STORAGE_WORDS[storage_reason(exc)]
    return sentences(words.text, words.remedy)


def storage_text(exc: Exception) -> Message:
    """The failure alone, in one sentence."""
    return STORAGE_WORDS[storage_reason(exc)].text


def retry_header(exc: Exception) -> dict[str, str]:
    """``Retry-After``, where waiting helps."""
    seconds = STORAGE_FACTS[storage_reason(exc)].retry_after_s
    return {} if seconds is None else {"Retry-After": str(seconds)}
