"""Answers to polls of a list, kept as bytes while neither the database nor the upstream's answers change.

A body does not name the principal, so all who may see a list get the same. Rights are checked before it is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    failure: Mapping[str, Any] = field(default_factory=dict)
    """The error body, of which ``body`` is the English answer; {} for a list."""
    in_languages: dict[str, bytes] = field(default_factory=dict)
    """The answers in other languages, made when one is asked for."""


def kept_lists(revision: Revision) -> Kept[KeptList]:
    return Kept(
        revision,
        most=MOST_BYTES,
        weigh=_weight,
        holds=lambda answer: time.monotonic() < answer.holds_until,
    )


def _weight(answer: KeptList) -> int:
    """The bytes of an answer. A failure is counted with the values of its body and two more languages."""
    return len(answer.body) * (4 if answer.failure else 1) + _OVERHEAD
