"""The texts for people about failures of our own storage: one row for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from panel.config import COMMAND
from panel.storage.failures import STORAGE_FACTS, StorageReason, require_rows, storage_reason


@dataclass(frozen=True, slots=True)
class StorageWords:
    """``text`` is the failure in one sentence; ``remedy`` is what to do, in another one."""

    text: str
    remedy: str
    is_unchanged: bool = True
    """Whether a refused change certainly did not take place, which is said between the two."""


STORAGE_WORDS: Mapping[StorageReason, StorageWords] = {
    StorageReason.NOT_SET_UP: StorageWords("The database is not set up.", f"Run: {COMMAND} db upgrade", False),
    StorageReason.OLDER: StorageWords("The database is of an older Leafpanel.", f"Run: {COMMAND} db upgrade", False),
    StorageReason.DAMAGED: StorageWords(
        "The panel's database is damaged.", "Stop the panel and restore a backup.", False
    ),
    StorageReason.FULL: StorageWords("The disk of the panel's own storage is full.", "make room on it and try again."),
    StorageReason.READ_ONLY: StorageWords(
        "The panel's own storage is read-only.", "make it writable for the panel and try again."
    ),
    StorageReason.LOCKED: StorageWords("The panel's own storage is locked by another process.", "try again."),
    StorageReason.COMMIT_LOST: StorageWords(
        "The panel's own storage broke off while it saved.",
        "We cannot tell whether it was saved. Check before trying again.",
        False,
    ),
    StorageReason.UNAVAILABLE: StorageWords("The panel's own storage does not answer now.", "try again."),
}
require_rows(STORAGE_WORDS, "STORAGE_WORDS of panel/web/storage_words.py")


def storage_words(exc: Exception) -> str:
    """What a refused request says about a failure of our storage."""
    words = STORAGE_WORDS[storage_reason(exc)]
    return f"{words.text} {'Nothing was changed; ' if words.is_unchanged else ''}{words.remedy}"


def storage_text(exc: Exception) -> str:
    """The failure alone, in one sentence."""
    return STORAGE_WORDS[storage_reason(exc)].text


def retry_header(exc: Exception) -> dict[str, str]:
    """``Retry-After``, where waiting helps."""
    seconds = STORAGE_FACTS[storage_reason(exc)].retry_after_s
    return {} if seconds is None else {"Retry-After": str(seconds)}
