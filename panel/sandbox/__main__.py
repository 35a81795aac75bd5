"""``python -m panel.sandbox PORT``: serve both stand-ins with demo content until SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading

from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    app = mounted(xwiki=XWikiStandIn(seed="demo"), openproject=OpenProjectStandIn(seed="demo"))
    server = RunningServer(app, int(sys.argv[1]))
    stop.wait()
    server.close()


if __name__ == "__main__":
    main()
