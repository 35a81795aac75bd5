"""Asking xWiki's REST API, and reading who it says we are. No answer is believed before that is known.

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
from panel.integrations.xwiki.reference import MAIN_WIKI, PageReference

REST = "rest"
MOST = 100
"""Entries asked of a list at most. Newer servers refuse more than 1000, older ones answer without any limit."""

Query = Sequence[tuple[str, str]]

_TELLS_WHO = (13, 4)
"""From this version on ``XWiki-User`` can be believed, and wrong credentials are served as a guest, not refused."""


def wiki_of(source: SourceConfig) -> str:
    return source.options.get("wiki") or MAIN_WIKI


def told_version(answer: Answer) -> str:
    """The version in the header that every answer of xWiki's REST API has; "" when something else answered."""
    return answer.headers.get("xwiki-version", "")


def numbers_of(version: str) -> tuple[int, ...]:
    """``17.10.5-SNAPSHOT`` as (17, 10, 5); empty when it cannot be read."""
    match = re.match(r"\d{1,5}(\.\d{1,5}){0,3}", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def told_user(answer: Answer) -> str | None:
    """The account's own name, or None for a guest."""
    user = answer.headers.get("xwiki-user", "").rpartition(".")[2].rpartition(":")[2]
    return None if user in ("", "XWikiGuest") else user


# --- judging ------------------------------------------------------------------------------------------------------


def judge(answer: Answer, source: SourceConfig) -> Problem | None:
    """Why an answer is not what its status says; None leaves it to its status."""
    if answer.status >= 500 or 300 <= answer.status < 400 or answer.status == 429 or _is_root(answer, source):
        return None
    if answer.status == 401:
        return _judge_refusal(answer, source)
    if not told_version(answer):
        return _not_xwiki(answer) if answer.status < 300 else None
    if source.signs_in and _tells_who(answer) and told_user(answer) is None:
        return _not_accepted(source)
    if answer.status < 300 and not answer.is_json:
        return Problem(Reason.UNEXPECTED_RESPONSE, f"{answer.where} answered {answer.status} without JSON.")
    return None


def _judge_refusal(answer: Answer, source: SourceConfig) -> Problem | None:
    """401 to a known account means that it may not see this one thing, which is for the caller to say."""
    if not source.signs_in:
        needs = f"{answer.where} needs an account, and this source has none."
        return None if told_version(answer) else Problem(Reason.FORBIDDEN, needs)
    if told_version(answer) and not _tells_who(answer):
        challenged = answer.headers.get("www-authenticate", "").lower().startswith("basic")
        return _not_accepted(source) if challenged else None
    return None if told_user(answer) else _not_accepted(source)


def _tells_who(answer: Answer) -> bool:
    numbers = numbers_of(told_version(answer))
    return not numbers or numbers >= _TELLS_WHO


def _is_root(answer: Answer, source: SourceConfig) -> bool:
    """The root of the API tells everybody what it is; who we are is asked of the wiki."""
    return answer.where == f"GET {urlsplit(source.root).path}/{REST}"


def _not_accepted(source: SourceConfig) -> Problem:
    what = "user name or password" if source.auth.kind is AuthKind.BASIC else "token"
    return Problem(Reason.CREDENTIALS_REJECTED, f"xWiki answers as a guest: the {what} is not accepted.")


def _not_xwiki(answer: Answer) -> Problem:
    return Problem(Reason.UNEXPECTED_RESPONSE, f"{answer.where} did not answer as an xWiki.")


# --- asking -------------------------------------------------------------------------------------------------------


def ask(upstream: Upstream, *path: str, query: Query = (), allow: Collection[int] = ()) -> Answer:
    """GET something of the source's wiki. Raises ProviderUnavailable when the wiki is not there, or closed to us."""
    wiki = wiki_of(upstream.source)
    answer = upstream.get(REST, "wikis", wiki, *path, query=query, allow={401, 404, *allow})
    if answer.status == 401:
        raise ProviderUnavailable.because(Reason.FORBIDDEN, f"xWiki refuses our account: {answer.where}.")
    if answer.status == 404 and not told_version(answer):
        raise ProviderUnavailable(_not_xwiki(answer))
    if answer.status == 404:
        message = f"The option “wiki”: there is no wiki “{wiki}” here."
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="options.wiki")
    return answer


def ask_page(upstream: Upstream, reference: PageReference, *, allow: Collection[int] = ()) -> Answer:
    """GET one page; 404 and 401 are answers: it is not there, or not for our account."""
    asked = [("prettyNames", "true")]
    answer = upstream.get(REST, *reference.path, query=asked, allow={401, 404, *allow})
    if answer.status == 404 and not told_version(answer):
        # A server that is just starting has no pages either: believe it only when xWiki itself is there.
        identify(upstream)
    return answer


def identify(upstream: Upstream) -> Identity:
    """Who xWiki says we are.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Wiki resources".
    """
    answer = ask(upstream)
    user = told_user(answer)
    if user is None and upstream.source.signs_in:
        # Only servers that refuse wrong credentials outright get this far without telling.
        user = upstream.source.auth.username or None
    return Identity(user, told_version(answer) or None)


def entries(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    """The list of that name. What is no object in it is left out; a missing list is an error, never an empty one."""
    found = answer.object().get(name)
    if not isinstance(found, list):
        raise unexpected(f"{answer.where} answered without {name}.")
    return [entry for entry in found if isinstance(entry, Mapping)]
