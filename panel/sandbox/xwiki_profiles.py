"""Differences between xWiki versions that matter to clients: one profile per generation."""

from __future__ import annotations

from dataclasses import dataclass

RECENT_PAGE_KEYS = frozenset(
    {"rawTitle", "enforceRequiredRights", "originalMetadataAuthor", "originalMetadataAuthorName", "hierarchy"}
)
"""Keys of a page's JSON that older servers do not send."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The behaviour of one generation."""

    version: str
    rejects_wrong_password: bool = False
    """Wrong Basic credentials are a 401; otherwise the request continues as guest."""
    sends_user: bool = True
    """``XWiki-User`` names the user; otherwise it is set before Basic is evaluated and always names the guest."""
    starts_session: bool = True
    """A Basic login starts an HTTP session, which takes precedence over credentials in later requests."""
    form_token: bool = True
    """Responses have an ``XWiki-Form-Token``, which POSTs with a simple content type require."""
    page_keys: frozenset[str] = RECENT_PAGE_KEYS
    query_types: frozenset[str] = frozenset({"solr", "hql", "xwql"})
    refuses_unknown_query_type: bool = False
    """400 for a query type that is not allowed; otherwise the component lookup fails with 500."""
    number_limit: int | None = None
    """Largest accepted ``number``; ``None`` means no limit."""
    keyword_source: str = "database"
    """What ``/search`` uses: ``database`` (substring) or ``solr`` (words)."""
    newer_resources: frozenset[str] = frozenset({"client", "children"})


PROFILES: dict[str, Profile] = {
    "legacy": Profile(
        "12.10.11",
        rejects_wrong_password=True,
        sends_user=False,
        starts_session=False,
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
