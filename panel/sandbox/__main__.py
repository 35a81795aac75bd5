"""``python -m panel.sandbox PORT``: serve both stand-ins with demo content until SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from panel.sandbox import openproject_options, xwiki_options
from panel.sandbox.standin import RunningServer, mounted


def main() -> None:
    options = _parser().parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    app = mounted(xwiki=xwiki_options.xwiki(options), openproject=openproject_options.from_options(options))
    server = RunningServer(app, options.port)
    stop.wait()
    server.close()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m panel.sandbox",
        description="Serve stand-ins of xWiki and OpenProject with demo content at /xwiki and /openproject.",
        epilog=openproject_options.HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("port", type=int, metavar="PORT", help="port on 127.0.0.1")
    openproject_options.add_options(parser)
    xwiki_options.add_options(parser)
    return parser


if __name__ == "__main__":
    main()
