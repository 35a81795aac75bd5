"""Parses addresses and references of OpenProject without a request.

The stored reference of a work package is its number as a string. Users may also give the short name that newer servers
show (``PROJ-51``), or the address of a page.
"""

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import SplitResult, quote, urlsplit

from panel.connector import is_same_host, origin_of
from panel.core.errors import InvalidInput, WrongHost
from panel.core.messages import _

API = ("api", "v3")

_NUMBER = r"[1-9][0-9]{0,17}"
_SHORT_NAME = r"[A-Za-z][A-Za-z0-9_-]*-[1-9][0-9]{0,17}"
_ONLY_NUMBER = re.compile(_NUMBER)
_ID = re.compile(rf"{_NUMBER}|{_SHORT_NAME}")

_BEFORE_ID = frozenset({"work_packages", "details", "wp", "bcf"})
"""Segments that the id of a work package follows, whatever module of OpenProject they are in."""

_BELOW_ROOT = re.compile(
    r"""/(?:
        (?: work_packages | wp | notifications | gantt | team_planners | project_queries | login | logout | oauth
          | projects/[^/]+ | (?:users|groups|placeholder_users|news|meetings|versions|messages|topics|roles)/[0-9]+
          | my/(?:page|account|settings|password|access_tokens?|notifications|reminders|interface|locale|sessions
                 |two_factor_devices|time-tracking)
          | account/(?:lost_password|register) | admin/(?:settings|users|groups|projects|overview)
        )(?:/.*)?
      | projects | portfolios | programs | my | users | groups | placeholder_users | account | admin | activity
      | activities | boards | calendars | meetings | news | search | settings | statuses | types | roles | versions
      | workspaces | work_package_types | custom_fields | cost_reports
    )$""",
    re.VERBOSE,
)
"""Pages of OpenProject. The part before is the instance root."""

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_TYPED = re.compile(rf"(?:(?:OP|WP)?\s?#)?(?:0*(?P<number>{_NUMBER})|(?P<short>{_SHORT_NAME}))", re.IGNORECASE)
"""Also as people and other tools write it: ``OP#1528``."""
_HOST = re.compile(r"[\w.:-]+")
_PROJECT = re.compile(r"[0-9A-Za-z_-]{1,100}")
_HREF = re.compile(r"/api/v3/([a-z_]+)/([1-9][0-9]*)$")
_LONGEST = 2000


def instance_root(location: str) -> str:
    """The instance root of a root, an API address or a page, without a trailing slash.

    Raises InvalidInput("location", …) when the address has no recognisable root.
    """
    parts = _web_address(location.strip(), "location")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("location", _("The address carries a user name; that belongs in the sign-in fields."))
    if parts.query or parts.fragment:
        raise InvalidInput("location", _("Give the address without the part from “?” or “#” on."))
    segments = [segment for segment in parts.path.split("/") if segment]
    if any(segment in (".", "..") for segment in segments):
        raise InvalidInput("location", _("The address goes up in its path; give it in full."))
    path = "".join(f"/{segment}" for segment in segments)
    cut = re.search(r"/api/v3(?=/|$)", path) or _BELOW_ROOT.search(path)
    return origin_of(parts.geturl()) + (path[: cut.start()] if cut else path)


def page_url(root: str, reference: str) -> str:
    """The page of a work package. This address works in every version and project."""
    return f"{root}/work_packages/{reference if is_number(reference) else quote(reference, safe='')}"


def create_page_url(root: str, project: str, kind: str = "") -> str:
    """The create form of OpenProject, of the project and for the type (a number) if they are known.

    The type is the only value that its address takes.
    """
    inside = f"/projects/{project}" if is_project(project) else ""
    return f"{root}{inside}/work_packages/new{f'?type={kind}' if is_number(kind) else ''}"


def looks_like_reference(text: str) -> bool:
    """Whether typed text is an address, a number or a short name, and not words."""
    typed = text.strip()
    return _TYPED.fullmatch(typed) is not None or re.fullmatch(r"https?://\S+", typed, re.IGNORECASE) is not None


def is_page_address(address: str) -> bool:
    """Whether an address has the form of a work package's address at any OpenProject."""
    return _shown_on(urlsplit(address).path) is not None


def work_package_in(text: str, root: str) -> str:
    """The number or short name in a pasted address or typed reference.

    Raises InvalidInput("reference", …) when there is none, WrongHost for an address outside ``root``.
    """
    typed = text.strip()
    if len(typed) > _LONGEST:
        raise InvalidInput("reference", _("This is too long to be a work package."))
    if _ADDRESS.match(typed):
        return _in_address(typed, root)
    reference = _TYPED.fullmatch(typed)
    if reference is None:
        raise _no_work_package(typed)
    return reference["number"] or reference["short"]


def spellings(reference: str) -> list[str]:
    """The spellings to request, the likeliest first.

    OpenProject has its short names in upper case, and keeps those of a renamed project as they were.
    """
    return list(dict.fromkeys((reference.upper(), reference)))


def is_number(reference: str) -> bool:
    """Whether it is a work package number in canonical form."""
    return _ONLY_NUMBER.fullmatch(reference) is not None


def is_project(text: str) -> bool:
    """Whether it has the form of a project's number or identifier."""
    return _PROJECT.fullmatch(text) is not None


def target_of(href: object) -> tuple[str, str] | None:
    """Kind and number of an API link such as ``/api/v3/statuses/7``, with any sub-path before it."""
    match = _HREF.search(href) if isinstance(href, str) else None
    return (match[1], match[2]) if match else None


def _in_address(text: str, root: str) -> str:
    parts = _web_address(text, "reference")
    path, base = re.sub("/+", "/", parts.path), urlsplit(root).path
    if not is_same_host(text, root) or not f"{path}/".startswith(f"{base}/"):
        raise _elsewhere(parts)
    reference = _shown_on(path[len(base) :])
    if reference is None:
        raise _no_work_package(text)
    return reference


def _elsewhere(parts: SplitResult) -> WrongHost:
    host = parts.netloc.rpartition("@")[2]
    message = _("This is an address of {host}. There is no source for it yet.", host=host)
    if _shown_on(parts.path):
        message = _("This is a work package of {host}. There is no source for it yet.", host=host)
    return WrongHost("reference", host, message)


def _shown_on(path: str) -> str | None:
    """The id of the work package that a page shows, as its address has it."""
    segments = path.split("/")
    ids = (after for before, after in pairwise(segments) if before in _BEFORE_ID and _ID.fullmatch(after))
    return next(ids, None)


def _web_address(text: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise InvalidInput(field, _("Give the whole address, from https:// on."))
    return parts


def _no_work_package(text: str) -> InvalidInput:
    shown = text if len(text) <= 80 else f"{text[:79]}…"
    return InvalidInput(
        "reference", _("“{text}” is no work package: give its number, its short name or its address.", text=shown)
    )
