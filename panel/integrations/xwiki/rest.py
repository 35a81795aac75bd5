"""Requests to xWiki's REST API, and the check of the user that answered them.

https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from panel.connector import Answer, SourceConfig, Upstream, unexpected
from panel.connector.source import AuthKind
from panel.core.domain import Identity, Problem
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.xwiki.reference import MAIN_WIKI, PageReference, split_names, without_wiki

REST = "rest"
MOST = 100
"""Most entries to request. Newer servers refuse more than 1000, older ones have no limit."""

Query = Sequence[tuple[str, str]]

_REPORTS_USER = (13, 4)
"""From this version on, ``XWiki-User`` is reliable, and wrong credentials are served as a guest."""


def wiki_of(source: SourceConfig) -> str:
    return source.options.get("wiki") or MAIN_WIKI


def reported_version(answer: Answer) -> str:
    """The version in the header of every REST answer of xWiki; "" when something else answered."""
    return answer.headers.get("xwiki-version", "")


def numbers_of(version: str) -> tuple[int, ...]:
    """``17.10.5-SNAPSHOT`` as (17, 10, 5); empty for an unknown format."""
    match = re.match(r"\d{1,5}(\.\d{1,5}){0,3}", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def reported_user(answer: Answer) -> str | None:
    """The name of the account, or None for a guest."""
    user = split_names(without_wiki(answer.headers.get("xwiki-user", ""))[1])[-1]
    return None if user in ("", "XWikiGuest") else user


# --- classifying --------------------------------------------------------------------------------------------------


def classify(answer: Answer, source: SourceConfig) -> Problem | None:
    """See ``Integration.classify``."""
    if answer.status >= 500 or 300 <= answer.status < 400 or answer.status == 429 or _is_root(answer, source):
        return None
    if answer.status == 401:
        return _classify_refusal(answer, source)
    if not reported_version(answer):
        return _not_xwiki(answer) if answer.status < 300 else None
    if source.signs_in and _reports_user(answer) and reported_user(answer) is None:
        return _not_accepted(source)
    if answer.status < 300 and not answer.is_json:
        return Problem(Reason.UNEXPECTED_RESPONSE, f"{answer.where} answered {answer.status} without JSON.")
    return None


def _classify_refusal(answer: Answer, source: SourceConfig) -> Problem | None:
    """Classify a 401. To an accepted account it means that the page is not visible; the caller handles that."""
    if not source.signs_in:
        needs = f"{answer.where} needs an account, and this source has none."
        return None if reported_version(answer) else Problem(Reason.FORBIDDEN, needs)
    if reported_version(answer) and not _reports_user(answer):
        challenged = answer.headers.get("www-authenticate", "").lower().startswith("basic")
        return _not_accepted(source) if challenged else None
    return None if reported_user(answer) else _not_accepted(source)


def _reports_user(answer: Answer) -> bool:
    numbers = numbers_of(reported_version(answer))
    return not numbers or numbers >= _REPORTS_USER


def _is_root(answer: Answer, source: SourceConfig) -> bool:
    """Whether it is the root of the API, which answers the same to every account."""
    return answer.where == f"GET {urlsplit(source.root).path}/{REST}"


def _not_accepted(source: SourceConfig) -> Problem:
    what = "user name or password" if source.auth.kind is AuthKind.BASIC else "token"
    sentence = f"xWiki answers as a guest: the {what} is not accepted.{_login_hint(source.auth.username)}"
    return Problem(Reason.CREDENTIALS_REJECTED, sentence)


def _login_hint(login: str) -> str:
    """Why a login with a dot may not be accepted, with the right password."""
    if "." in login.removeprefix("XWiki."):
        return (
            " Of accounts with a dot in the name, xWiki's own cannot sign in with a password here; those of LDAP can."
        )
    return ""


def _not_xwiki(answer: Answer) -> Problem:
    return Problem(Reason.UNEXPECTED_RESPONSE, f"{answer.where} did not answer as an xWiki.")


# --- requests -----------------------------------------------------------------------------------------------------


def ask(upstream: Upstream, *path: str, query: Query = (), allow: Collection[int] = ()) -> Answer:
    """GET below the source's wiki. Raises ProviderUnavailable when the wiki does not exist or is not accessible."""
    wiki = wiki_of(upstream.source)
    answer = upstream.get(REST, "wikis", wiki, *path, query=query, allow={401, 404, *allow})
    if answer.status == 401:
        raise ProviderUnavailable.because(Reason.FORBIDDEN, f"xWiki refuses our account: {answer.where}.")
    if answer.status == 404 and not reported_version(answer):
        raise ProviderUnavailable(_not_xwiki(answer))
    if answer.status == 404:
        message = f"The option “wiki”: there is no wiki “{wiki}” here."
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="options.wiki")
    return answer


def ask_page(upstream: Upstream, reference: PageReference, *, allow: Collection[int] = ()) -> Answer:
    """GET one page. The answer may be 404 or 401: it does not exist, or the account may not see it.

    It is 400 where the server in front of xWiki refuses the slash or backslash of a name.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    allowed = {401, 404, *allow, *({400} if reference.has_separator else ())}
    answer = upstream.get(REST, *reference.path, query=[("prettyNames", "true")], allow=allowed)
    if answer.status in (400, 404) and not reported_version(answer):
        # A proxy or a starting server also answers so. It only counts when xWiki itself answers.
        identify(upstream)
    if answer.status == 400 and reported_version(answer):
        raise unexpected(f"{answer.where} answered 400.")
    return answer


def identify(upstream: Upstream) -> Identity:
    """The user and the version that xWiki reports.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Wiki resources".
    """
    answer = ask(upstream)
    user = reported_user(answer)
    if user is None and upstream.source.signs_in:
        # Only servers that refuse wrong credentials with 401 do not report the user.
        user = upstream.source.auth.username or None
    return Identity(user, reported_version(answer) or None)


def entries(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    """The objects in the list of that name. Raises ProviderUnavailable when the list is missing."""
    found = answer.object().get(name)
    if not isinstance(found, list):
        raise unexpected(f"{answer.where} answered without {name}.")
    return [entry for entry in found if isinstance(entry, Mapping)]
