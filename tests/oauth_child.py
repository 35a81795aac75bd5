"""For each line on standard input, a process of its own that renews a token: ``die`` is killed before it stores what it
was given, ``use THREADS`` prints how many different tokens its threads saw. Started once, so that only forking is paid.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from panel import create_app
from panel.config import load
from panel.connector import Caller, Deadline
from panel.services import Panel
from panel.sources.oauth_store import Grants

DEADLINE_S = {"die": 1.0, "use": 20.0}


def _kill(*_: Any) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return False


def _child(app: Flask, what: str, threads: int) -> None:
    if what == "die":
        Grants.renew = _kill  # type: ignore[method-assign]
    services: Panel = app.extensions["leafpanel"]
    with app.app_context():
        config = services.resolver.resolve(services.registry.get("openproject")).ready()

    def header(_: int) -> str:
        return services.oauth.header(config, Deadline(DEADLINE_S[what]), Caller("test", "child"))

    with ThreadPoolExecutor(threads) as pool:
        # One write, since several processes share this pipe and their lines must not run into each other.
        line = " ".join(sorted(set(pool.map(header, range(threads)))))
        os.write(1, f"{line}\n".encode())


def _forked(app: Flask, what: str, threads: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _child(app, what, threads)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    return pid


def main() -> None:
    app = create_app(load())
    assert threading.active_count() == 1, "a process with threads cannot be forked in peace"
    print("ready", flush=True)
    for line in sys.stdin:
        what, threads, processes = [*line.split(), "1", "1"][:3]
        pids = [_forked(app, what, int(threads)) for _ in range(int(processes))]
        print("ended", *(os.waitpid(pid, 0)[1] for pid in pids), flush=True)


if __name__ == "__main__":
    main()
