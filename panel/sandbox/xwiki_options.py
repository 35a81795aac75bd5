"""Options of ``python -m panel.sandbox`` for the xWiki stand-in."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from panel.sandbox.xwiki import XWikiStandIn


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("xWiki")
    group.add_argument("--xwiki", choices=("16", "18"), default="18", help="version whose behaviour is served (18)")
    group.add_argument(
        "--xwiki-database", choices=("open", "closed"), help="whether HQL and XWQL are answered (16: open, 18: closed)"
    )
    group.add_argument("--xwiki-index-lag", type=float, default=2.0, metavar="S", help="age of the index, seconds (2)")
    group.add_argument("--xwiki-index-hangs", type=float, default=0.0, metavar="S", help="the index answers so late")
    group.add_argument("--xwiki-404-takes", type=float, default=0.0, metavar="S", help="a 404 takes so long")
    group.add_argument(
        "--xwiki-view-path", default="/bin/view", metavar="PATH", help="start of page addresses (/bin/view; /bin, '')"
    )
    group.add_argument("--xwiki-public-url", metavar="URL", help="host in page addresses (the host of the request)")
    group.add_argument("--xwiki-hides-version", action="store_true", help="omit the header XWiki-Version")


def xwiki(options: Namespace) -> XWikiStandIn:
    """Return the demo wiki with these options."""
    standin = XWikiStandIn(options.xwiki, seed="demo", solr_lag=options.xwiki_index_lag)
    if options.xwiki_database:
        standin.xwql_enabled = options.xwiki_database == "open"
    standin.hang_index(options.xwiki_index_hangs)
    standin.missing_page_s = options.xwiki_404_takes
    standin.view_path = options.xwiki_view_path
    standin.public_url = options.xwiki_public_url
    standin.hides_version = options.xwiki_hides_version
    return standin
