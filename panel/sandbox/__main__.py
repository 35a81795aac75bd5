"""``python -m panel.sandbox PORT``: serve both stand-ins with demo content until SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from panel.sandbox import openproject_options, xwiki_options
from panel.sandbox.standin import RunningServer, mounted


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m panel.sandbox",
        description="Serve stand-ins of xWiki and OpenProject with demo content at /xwiki and /openproject.",
        epilog=xwiki_options.HELP + openproject_options.HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("port", type=int, metavar="PORT", help="port on 127.0.0.1")
    xwiki_options.add_options(parser)
    openproject_options.add_options(parser)
    return parser


def main() -> None:
    options = _parser().parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    xwiki, openproject = xwiki_options.from_options(options), openproject_options.from_options(options)
    server = RunningServer(mounted(xwiki=xwiki, openproject=openproject), options.port)
    stop.wait()
    server.close()


if __name__ == "__main__":
    main()
