"""Differences between xWiki versions that matter to clients: one profile per version.

``16`` and ``18`` were recorded from 16.2.0 and 18.5. ``legacy``, ``modern`` and ``solr-only`` follow the documentation
of 12.10, 16.10 and 18.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RECENT_PAGE_KEYS = frozenset({"rawTitle", "originalMetadataAuthor", "originalMetadataAuthorName", "hierarchy"})
"""Keys of a page's JSON that 12.10 does not send."""
KEYS_SINCE_18 = frozenset({"enforceRequiredRights", "rights", "renderedContent"})


@dataclass(frozen=True, slots=True)
class Profile:
    """The behaviour of one version."""

    version: str

    # --- authentication
    rejects_wrong_password: bool = False
    """Wrong Basic credentials are a 401; otherwise the request continues as guest."""
    sends_user: bool = True
    """``XWiki-User`` names the user; otherwise it is set before Basic is evaluated and always names the guest."""
    starts_session: bool = True
    """A Basic login starts an HTTP session, which takes precedence over credentials in later requests."""
    form_token: bool = True
    """Responses have an ``XWiki-Form-Token``, which POSTs with a simple content type require."""

    # --- paths
    serves_slashes: bool = False
    """Names may contain ``/`` and ``\\``; otherwise the container refuses the path with 400."""
    plus_is_blank_in_pages: bool = True
    """``+`` is a blank after ``/pages/`` too; otherwise only in the spaces of a path."""
    unknown_wiki_page: int = 404
    """Status of a page of an unknown wiki."""
    unknown_wiki_lists: int = 200
    """Status of a list of an unknown wiki; 200 is the list of the main wiki."""
    missing_page_bytes: int = 400
    """Size of the HTML page of a 404."""
    newer_resources: frozenset[str] = frozenset({"client", "children"})

    # --- pages
    page_keys: frozenset[str] = RECENT_PAGE_KEYS
    hidden_alone_is_saved: bool = False
    """A PUT of nothing but ``hidden`` is saved; otherwise it is a 304."""
    links_lack_spaces: bool = False
    """Links to nested pages in hits, history and objects omit ``/spaces/``, which makes them unusable."""
    shows_denied_history: bool = False
    """``/history``, ``/tags`` and ``/attachments`` of a denied page are 200."""

    # --- lists
    number_limit: int | None = None
    """Largest accepted ``number``; ``None`` means no limit."""
    lists_denied_pages: bool = False
    """``/pages`` lists pages that the account may not view."""

    # --- search
    query_types: frozenset[str] = frozenset({"solr", "hql", "xwql"})
    unknown_query_type: int = 500
    """Status for a type of query that does not exist."""
    keyword_source: str = "database"
    """What ``/search`` uses: ``database`` (a substring) or ``index`` (words)."""
    combines_space_scope: bool = False
    """``scope=spaces`` may stand beside another scope; otherwise the database refuses the query with 500."""
    xwql_reads_quotes: bool = True
    """XWQL accepts ``''`` in a literal; otherwise it is a 500."""
    marks_new_references: bool = False
    """The index field ``reference`` of a page that was saved once ends in ``;``."""


_16 = Profile(
    "16.2.0",
    plus_is_blank_in_pages=False,
    missing_page_bytes=17_000,
    newer_resources=frozenset({"client"}),
    links_lack_spaces=True,
    shows_denied_history=True,
    lists_denied_pages=True,
    xwql_reads_quotes=False,
    marks_new_references=True,
)

_18 = Profile(
    "18.5.0-SNAPSHOT",
    serves_slashes=True,
    unknown_wiki_page=401,
    unknown_wiki_lists=500,
    page_keys=RECENT_PAGE_KEYS | KEYS_SINCE_18,
    hidden_alone_is_saved=True,
    number_limit=1000,
    query_types=frozenset({"solr"}),
    unknown_query_type=400,
    keyword_source="index",
    combines_space_scope=True,
)

PROFILES: dict[str, Profile] = {
    "16": _16,
    "18": _18,
    "legacy": Profile(
        "12.10.11",
        rejects_wrong_password=True,
        sends_user=False,
        starts_session=False,
        form_token=False,
        newer_resources=frozenset(),
        page_keys=frozenset(),
    ),
    "modern": Profile("16.10.2"),
    "solr-only": replace(_18, version="18.2.0", serves_slashes=False),
}
