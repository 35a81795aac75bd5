"""Answers to polls of a list, kept as bytes while neither the database nor the upstream's answers change.

A body does not name the principal, so all who may see a list get the same. Rights are checked before it is looked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from panel.core.reasons import Reason
from panel.storage.revision import Kept, Revision

MOST_BYTES = 16 * 1024 * 1024
"""The weight of all kept answers of one process."""
_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class KeptList:
    """The body of an answer, and until when it holds, on the monotonic clock."""

    body: bytes
    etag: str
    status: int
    holds_until: float
    reason: Reason | None = None
    """Why the items cannot be read; None for a list."""


def kept_lists(revision: Revision) -> Kept[KeptList]:
    return Kept(
        revision,
        most=MOST_BYTES,
        weigh=lambda answer: len(answer.body) + _OVERHEAD,
        holds=lambda answer: time.monotonic() < answer.holds_until,
    )
