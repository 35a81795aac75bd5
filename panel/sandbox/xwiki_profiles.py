"""How versions of xWiki differ where a client notices: one value per generation of servers."""

from __future__ import annotations

from dataclasses import dataclass

RECENT_PAGE_KEYS = frozenset(
    {"rawTitle", "enforceRequiredRights", "originalMetadataAuthor", "originalMetadataAuthorName", "hierarchy"}
)
"""Keys of a page's JSON that older servers do not know at all."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The switches of one generation."""

    version: str
    rejects_wrong_password: bool = False
    """Wrong Basic credentials are answered 401; otherwise the request silently goes on as guest."""
    tells_user: bool = True
    """``XWiki-User`` names who logged in; otherwise it was written before Basic was read and says guest for all."""
    keeps_login: bool = True
    """A successful Basic login stays in the HTTP session, whatever credentials come with the cookie later."""
    form_token: bool = True
    """There is an ``XWiki-Form-Token``, and simple POSTs need it."""
    page_keys: frozenset[str] = RECENT_PAGE_KEYS
    query_types: frozenset[str] = frozenset({"solr", "hql", "xwql"})
    refuses_unknown_query_type: bool = False
    """400 for a query type that is not allowed; otherwise the component lookup fails with 500."""
    number_limit: int | None = None
    """Largest ``number`` accepted; None means that there is no limit."""
    keyword_source: str = "database"
    """Where ``/search`` looks: ``database`` (substring) or ``solr`` (words)."""
    newer_resources: frozenset[str] = frozenset({"client", "children"})


PROFILES: dict[str, Profile] = {
    "legacy": Profile(
        "12.10.11",
        rejects_wrong_password=True,
        tells_user=False,
        keeps_login=False,
        form_token=False,
        page_keys=frozenset(),
        newer_resources=frozenset(),
    ),
    "modern": Profile("16.10.2"),
    "solr-only": Profile(
        "18.2.0",
        page_keys=RECENT_PAGE_KEYS | {"rights"},
        query_types=frozenset({"solr"}),
        refuses_unknown_query_type=True,
        number_limit=1000,
        keyword_source="solr",
        newer_resources=frozenset({"client", "children", "user"}),
    ),
}
