"""What the command line of the sandbox says about xWiki: version, index, database, speed, addresses."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from panel.sandbox.xwiki import XWikiStandIn
from panel.sandbox.xwiki_routes import ROUTES
from panel.sandbox.xwiki_seeds import DEMO_ACCOUNTS

HELP = f"""\
Accounts of xWiki: {", ".join(f"{login} / {password}" for login, password in DEMO_ACCOUNTS.items())}.
A KIND is one of {", ".join(ROUTES)}.
"""


def add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("xWiki").add_argument
    add("--xwiki", choices=("16", "18"), default="18", help="behave like this version")
    add("--xwiki-database", choices=("open", "closed"), help="whether HQL and XWQL are answered (16: open, 18: closed)")
    add("--xwiki-index-lag", type=float, default=0.02, metavar="S", help="time until the index has a change (0.02)")
    add("--xwiki-index-hangs", type=float, default=0.0, metavar="S", help="time of what asks the index")
    add("--xwiki-delay", action="append", type=_delay, metavar="KIND=MS", help="time of requests of a kind")
    add("--xwiki-404-takes", type=float, default=0.0, metavar="S", help="time of a 404 in addition")
    add("--xwiki-spaces", type=int, default=0, metavar="N", help="add N nested pages, each a space")
    add("--xwiki-view-path", default="/bin/view", metavar="PATH", help="start of page addresses: /bin/view, /bin or ''")
    add("--xwiki-public-url", metavar="URL", help="start of page addresses instead of the host of the request")
    add("--xwiki-hides-version", action="store_true", help="omit the header XWiki-Version")


def _delay(text: str) -> tuple[str, float]:
    kind, _, milliseconds = text.partition("=")
    if kind not in ROUTES or not milliseconds.isdecimal():
        raise ArgumentTypeError(f"KIND=MS was expected, not {text!r}")
    return kind, int(milliseconds) / 1000


def from_options(options: Namespace) -> XWikiStandIn:
    """Return the stand-in with demo content that the options describe."""
    standin = XWikiStandIn(options.xwiki, seed="demo", solr_lag=options.xwiki_index_lag)
    if options.xwiki_database:
        standin.xwql_enabled = options.xwiki_database == "open"
    standin.add_spaces("Zaken", options.xwiki_spaces, title="Zaak {number}")
    standin.hang_index(options.xwiki_index_hangs)
    standin.delays.update(options.xwiki_delay or ())
    standin.missing_page_s = options.xwiki_404_takes
    standin.view_path = options.xwiki_view_path
    standin.public_url = options.xwiki_public_url
    standin.hides_version = options.xwiki_hides_version
    return standin
