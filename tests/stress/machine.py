"""What the stress tests know of the machine: how late it is by itself, and how much a process holds."""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SPAWN = multiprocessing.get_context("spawn")
TICK_S = 0.02


@contextmanager
def process(work: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """``work(pipe, *args)`` in a process of its own, which ends when the pipe closes; yields our end of the pipe."""
    ours, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=work, args=(theirs, *args), daemon=True)
    child.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        child.join(10)
        if child.is_alive():
            child.kill()
            child.join(10)


def closed(pipe: Connection) -> None:
    """Wait until the other end goes away."""
    with suppress(EOFError, OSError):
        pipe.recv()


class Lag:
    """How late a process that only sleeps was woken: what a busy machine adds to every promise of time."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        pipe.recv()

    def worst(self) -> float:
        """Seconds, over the time since the last question."""
        self._pipe.send("?")
        return float(self._pipe.recv())


@contextmanager
def lag() -> Iterator[Lag]:
    with process(_tick) as pipe:
        yield Lag(pipe)


def _tick(pipe: Connection) -> None:
    pipe.send("ready")
    worst = 0.0
    while True:
        due = time.monotonic() + TICK_S
        time.sleep(TICK_S)
        worst = max(worst, time.monotonic() - due)
        try:
            if pipe.poll():
                pipe.recv()
                pipe.send(worst)
                worst = 0.0
        except (EOFError, OSError):
            return


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def settled(threads: int, files: int, *, within_s: float = 10.0) -> bool:
    """Whether threads and open files come back to what they were, give or take two."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if abs(threading.active_count() - threads) <= 2 and abs(open_files() - files) <= 2:
            return True
        time.sleep(0.05)
    return False


def forget_peak() -> None:
    """Start the count of peak memory anew, https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(name: str) -> int:
    """``VmRSS`` (resident now) or ``VmHWM`` (peak of it), in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def cpu_s() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
