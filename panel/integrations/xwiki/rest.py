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
from panel.core.messages import _, sentences
from panel.core.reasons import Reason
from panel.integrations.xwiki.reference import MAIN_WIKI, PageReference, split_names, without_wiki

REST = "rest"
MOST = 100
"""Most entries to request. Newer servers refuse more than 1000, older ones have no limit."""

Query = Sequence[tuple[str, str]]

_HEADERS = ("XWiki-Version", "XWiki-User", "XWiki-Form-Token")
"""Headers of every REST answer. A guest has no user, and old versions no form token."""
_LISTS = frozenset({"wikis", "spaces", "pageSummaries", "searchResults", "historySummaries", "objectSummaries"})
_RELATIONS = "http://www.xwiki.org/rel/"
"""How the relations of all links begin. Every resource that is no list has links."""

_USERS = "XWiki."
"""The space of xWiki's own accounts. A user name may begin with it."""

_REPORTS_USER = (13, 4)
"""From this version on, ``XWiki-User`` is reliable, and wrong credentials are served as a guest."""


def wiki_of(source: SourceConfig) -> str:
    return source.options.get("wiki") or MAIN_WIKI


def reported_version(answer: Answer) -> str:
    """The version in the header of every REST answer of xWiki; "" where a proxy removes it."""
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


def lacks(answer: Answer) -> str:
    """See ``Integration.lacks``: the headers prove xWiki, or the JSON, because some proxies remove headers."""
    if _has_own_header(answer) or _has_own_json(answer) or _refuses_path(answer):
        return ""
    return _("the headers of xWiki ({names})", names=", ".join(_HEADERS[:2]))


def _has_own_header(answer: Answer) -> bool:
    if any(name.lower() in answer.headers for name in _HEADERS):
        return True
    # Authenticators of xWiki that refuse a call themselves do it before its REST API sets a header.
    return answer.status == 401 and 'realm="xwiki"' in answer.headers.get("www-authenticate", "").lower()


def _refuses_path(answer: Answer) -> bool:
    """Whether the web server refused a slash or backslash in a name, before xWiki saw the request."""
    return answer.status == 400 and not _has_own_header(answer) and re.search("%2F|%5C", answer.where) is not None


def _has_own_json(answer: Answer) -> bool:
    """Whether this has the shape of a resource of xWiki."""
    if not answer.is_json:
        return False
    try:
        body = answer.json()
    except ProviderUnavailable:
        return False
    links = body.get("links") if isinstance(body, dict) else None
    if not isinstance(links, list):
        return False
    relations = (str(link.get("rel")) for link in links if isinstance(link, dict))
    return not _LISTS.isdisjoint(body) or any(relation.startswith(_RELATIONS) for relation in relations)


def classify(answer: Answer, source: SourceConfig) -> Problem | None:
    """See ``Integration.classify``."""
    if answer.status >= 500 or 300 <= answer.status < 400 or answer.status == 429:
        return None
    if _is_root(answer, source) or _refuses_path(answer):
        return None
    if answer.status == 401:
        return _classify_refusal(answer, source)
    if source.signs_in and _reports_user(answer) and reported_user(answer) is None:
        if _has_own_header(answer):
            return _not_accepted(source)
        return _user_is_hidden(answer) if answer.status < 300 else None
    if answer.status < 300 and not answer.is_json:
        return Problem(
            Reason.UNEXPECTED_RESPONSE,
            _("{where} answered {status} without JSON.", where=answer.where, status=answer.status),
        )
    return None


def _classify_refusal(answer: Answer, source: SourceConfig) -> Problem | None:
    """Classify a 401. To an accepted account it means that the page is not visible; the caller handles that."""
    if not source.signs_in:
        return None
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
    if source.auth.kind is not AuthKind.BASIC:
        return Problem(Reason.CREDENTIALS_REJECTED, _("xWiki answers as a guest: the token is not accepted."))
    message = _("xWiki answers as a guest: the user name or password is not accepted.")
    return Problem(Reason.CREDENTIALS_REJECTED, sentences(message, _hint_on_name(source.auth.username)))


def _hint_on_name(username: str) -> str:
    """What is wrong with a user name that xWiki cannot know; "" for any other.

    xWiki reads a dot as the end of a space, so that the names of its own accounts have none.
    """
    if "." not in username.removeprefix(_USERS):
        return ""
    return _("Its own accounts with a dot in their name cannot sign in here; those of LDAP or single sign-on can.")


def _user_is_hidden(answer: Answer) -> Problem:
    message = _(
        "{where} answered as xWiki does, but without the header XWiki-User, which names the account: "
        "a proxy in front of xWiki removes it.",
        where=answer.where,
    )
    return Problem(Reason.UNEXPECTED_RESPONSE, message)


_REFUSED = _("xWiki refuses our account: {where}.")
_NO_ACCOUNT = _("xWiki needs an account, and there is none: {where}.")


# --- requests -----------------------------------------------------------------------------------------------------


def ask(upstream: Upstream, *path: str, query: Query = (), allow: Collection[int] = ()) -> Answer:
    """GET below the source's wiki. Raises ProviderUnavailable when the wiki does not exist or is not accessible."""
    wiki = wiki_of(upstream.source)
    answer = upstream.get(REST, "wikis", wiki, *path, query=query, allow={401, 404, *allow})
    if answer.status == 401:
        why = _REFUSED if upstream.source.signs_in else _NO_ACCOUNT
        raise ProviderUnavailable.because(Reason.FORBIDDEN, why.filled(where=answer.where))
    if answer.status == 404:
        message = _("The option “wiki”: there is no wiki “{wiki}” here.", wiki=wiki)
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="options.wiki")
    return answer


def ask_page(upstream: Upstream, reference: PageReference, *, allow: Collection[int] = ()) -> Answer:
    """GET one page. The answer may be 404 or 401: it does not exist, or the account may not see it.

    It is 400 where the server in front of xWiki refuses the slash or backslash of a name.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Page resources".
    """
    allowed = {401, 404, *allow, *({400} if reference.has_separator else ())}
    answer = upstream.get(REST, *reference.path, query=[("prettyNames", "true")], allow=allowed)
    if _refuses_path(answer):
        # It has nothing of xWiki, so it only counts when xWiki itself answers there.
        identify(upstream)
    elif answer.status == 400 and 400 not in allow:
        raise unexpected(_("{where} answered {status}.", where=answer.where, status=400))
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
        raise unexpected(_("{where} answered without {name}.", where=answer.where, name=name))
    return [entry for entry in found if isinstance(entry, Mapping)]
