"""Memory of a process about optional parts of a source: which failed a moment ago, and which keys it did not show."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from panel.connector.source import SourceConfig
from panel.core.domain import Problem

SHARE = 0.2
"""The share of a conversation's deadline that an optional part gets. It is 1 s of the default deadline."""
LEAST_S = 0.05
"""With less time than this, an optional part is not asked."""
PAUSE_S = 30.0
"""How long an optional part rests after a failure, unless the upstream asked for another time."""
LONGEST_PAUSE_S = 300.0
MOST_NOTED = 5000
"""How many keys are noted per source and name. The oldest are dropped first."""


@dataclass(slots=True)
class _Pause:
    revision: int
    until: float
    """The end on the monotonic clock."""


class Pauses:
    """The optional parts of all sources that failed a moment ago: a circuit breaker for each, apart from the source's.

    A part rests after each failure. Then one caller tries it, while others still do without.
    """

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, str], _Pause] = {}
        self._lock = threading.Lock()

    def admits(self, source: SourceConfig, name: str, seconds: float) -> bool:
        """Whether the part may be asked now. The caller that tries after a pause has ``seconds`` for it."""
        moment = time.monotonic()
        with self._lock:
            pause = self._pauses.get((source.id, name))
            if pause is None or pause.revision != source.revision:
                return True
            if pause.until > moment:
                return False
            pause.until = moment + seconds
            return True

    def failed(self, source: SourceConfig, name: str, problem: Problem) -> None:
        seconds = min(problem.retry_after or PAUSE_S, LONGEST_PAUSE_S)
        with self._lock:
            self._pauses[source.id, name] = _Pause(source.revision, time.monotonic() + seconds)

    def succeeded(self, source: SourceConfig, name: str) -> None:
        with self._lock:
            self._pauses.pop((source.id, name), None)


@dataclass(slots=True)
class Notes:
    """Keys of one source with the time of their note, at most ``MOST_NOTED``."""

    revision: int
    _noted: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ages(self, keys: Iterable[str]) -> Mapping[str, float]:
        """The seconds since the note of each of ``keys`` that is noted, the oldest note first."""
        moment, asked = time.monotonic(), set(keys)
        with self._lock:
            found = {key: moment - at for key, at in self._noted.items() if key in asked}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def add(self, keys: Iterable[str]) -> None:
        """Note the keys now, also those that are noted already."""
        moment = time.monotonic()
        with self._lock:
            for key in keys:
                self._noted.pop(key, None)
                self._noted[key] = moment
            # Dictionaries are in insertion order, so this drops the oldest notes.
            while len(self._noted) > MOST_NOTED:
                del self._noted[next(iter(self._noted))]

    def discard(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._noted.pop(key, None)


class NotesOfSources:
    """The notes of all sources by name. Saving a source empties its notes."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], Notes] = {}
        self._lock = threading.Lock()

    def of(self, source: SourceConfig, name: str) -> Notes:
        with self._lock:
            notes = self._notes.get((source.id, name))
            if notes is None or notes.revision != source.revision:
                notes = self._notes[source.id, name] = Notes(source.revision)
            return notes
