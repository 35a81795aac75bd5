"""What the command line of the sandbox says about OpenProject: version, accounts, speed, refusals."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from panel.sandbox.openproject import OAUTH_CLIENT, OAUTH_CLIENT_WITHOUT_USER, OAUTH_SECRET, OpenProjectStandIn
from panel.sandbox.openproject_profiles import PROFILES
from panel.sandbox.openproject_seeds import DEMO_ACCOUNTS, DEMO_API_KEY

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

HELP = f"""\
Accounts of OpenProject (user name "apikey"): {DEMO_API_KEY}; {", ".join(DEMO_ACCOUNTS.values())}.
OAuth applications: {OAUTH_CLIENT}; {OAUTH_CLIENT_WITHOUT_USER}, whose tokens belong to no user.
Both have the secret {OAUTH_SECRET}.
A ROUTE is a method and a path below /api/v3, such as "GET /statuses"; the path is a regular expression.
"""


def add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("OpenProject").add_argument
    add("--openproject", choices=sorted(PROFILES), default="17", help="behave like this version")
    add("--openproject-open", action="store_true", help="open to everybody: no login required")
    add("--openproject-host", action="append", metavar="NAME", help="a further host name to answer to")
    add("--openproject-semantic-ids", action="store_true", help="show VERG-7 instead of numbers (17)")
    add("--openproject-projects", type=int, default=0, metavar="N", help="add N projects")
    add("--openproject-call-ms", type=int, default=0, metavar="MS", help="time of each call")
    add("--openproject-project-ms", type=int, default=0, metavar="MS", help="time of each complete project")
    add("--openproject-as-slow-as-measured", action="store_true", help="take the time that real servers took")
    add("--openproject-form-limit", type=int, metavar="N", help="429 for more than N forms in three seconds")
    add("--openproject-delay", action="append", type=_delay, metavar="ROUTE=MS", help="time of a route")
    add("--openproject-forbid", action="append", metavar="ROUTE", help="a route that answers 403")


def _delay(text: str) -> tuple[str, float]:
    route, _, milliseconds = text.rpartition("=")
    if not route or not milliseconds.isdecimal():
        raise ArgumentTypeError(f"ROUTE=MS was expected, not {text!r}")
    return route, int(milliseconds) / 1000


def from_options(options: Namespace) -> OpenProjectStandIn:
    """Return the stand-in with demo content that the options describe."""
    standin = OpenProjectStandIn(options.openproject, seed="demo")
    standin.login_required = not options.openproject_open
    standin.hosts = {*LOOPBACK, *(options.openproject_host or ())}
    standin.semantic_display_ids = options.openproject_semantic_ids
    standin.add_projects(options.openproject_projects)
    if options.openproject_as_slow_as_measured:
        standin.load.be_as_slow_as_measured()
    standin.load.per_call_s += options.openproject_call_ms / 1000
    standin.load.per_project_s += options.openproject_project_ms / 1000
    standin.load.form_limit = options.openproject_form_limit
    standin.load.delays = dict(options.openproject_delay or ())
    standin.load.forbidden = set(options.openproject_forbid or ())
    return standin
