"""Child processes of the server: programs of their own, and a fork of this process that has imported everything.

On Linux they also end when this process ends, however it ends.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

STOP_S = 10
_PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


class Fork:
    """A fork of this process, with the methods of ``subprocess.Popen`` that are used here."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        if self._code is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + timeout if timeout is not None else None
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("fork", timeout or 0)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


Child = subprocess.Popen[bytes] | Fork


def start(command: Sequence[str]) -> Child:
    # A new session, so that Ctrl-C does not reach the children directly: `stop` ends them, once.
    return subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent())  # noqa: S603


def fork() -> Child | None:
    """Fork this process, which must have no threads. None in the fork."""
    request = _end_with_parent()
    # The collector of a child would write to every object, so that no memory of it could be shared.
    gc.freeze()
    pid = os.fork()
    if pid:
        return Fork(pid)
    os.setsid()
    if request is not None:
        request()
    return None


def stop(children: Sequence[Child]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """A function that lets the system send SIGTERM to this process when its parent ends, however it ends.

    Otherwise a server would go on and hold its port after SIGKILL or SIGQUIT of the parent. Only Linux can do this.
    """
    if sys.platform != "linux":
        return None
    # Loaded before the fork: the child calls only what is in memory.
    control, parent = ctypes.CDLL(None).prctl, os.getpid()

    def request() -> None:
        control(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # The parent ended before the request.

    return request
