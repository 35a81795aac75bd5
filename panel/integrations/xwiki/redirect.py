"""Redirects: a rename can leave a hidden, empty page behind that only names the new place of the page.

https://extensions.xwiki.org/xwiki/bin/view/Extension/Redirection%20Application
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from panel.connector import Upstream
from panel.integrations.xwiki.reference import BadReference, PageReference
from panel.integrations.xwiki.rest import REST

CLASS = "XWiki.RedirectClass"
_PROPERTY = "location"


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a page redirects to; None for what is no page of the same wiki."""

    target: PageReference | None


def redirect_in(payload: Mapping[str, Any], wiki: str) -> Redirect | None:
    """The redirect of a search hit, when the search asked for objects of its class."""
    found = payload.get("object")
    if not isinstance(found, Mapping) or found.get("className") != CLASS:
        return None
    properties = found.get("properties")
    named = [one for one in properties if isinstance(one, Mapping)] if isinstance(properties, list) else []
    return _redirect(next((one.get("value") for one in named if one.get("name") == _PROPERTY), None), wiki)


def redirect_of(upstream: Upstream, page: PageReference) -> Redirect | None:
    """Ask for the redirect of a page; None when it has none.

    https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Object resources".
    """
    path = (REST, *page.path, "objects", CLASS, "0", "properties", _PROPERTY)
    answer = upstream.get(*path, allow={401, 404})
    return _redirect(answer.object().get("value"), page.wiki) if answer.status < 300 else None


def _redirect(location: object, wiki: str) -> Redirect:
    try:
        target = PageReference.parse(location, wiki) if isinstance(location, str) else None
    except BadReference:
        target = None
    return Redirect(target if target is not None and target.wiki == wiki else None)
