"""``python -m panel.sandbox PORT``: both stand-ins with their demo content, until stopped."""

from __future__ import annotations

import signal
import sys
import threading

from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn


def main() -> None:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    app = mounted(xwiki=XWikiStandIn(seed="demo"), openproject=OpenProjectStandIn(seed="demo"))
    server = RunningServer(app, int(sys.argv[1]))
    stop.wait()
    server.close()


if __name__ == "__main__":
    main()
