"""The facts in which OpenProject versions differ, one profile per generation.

Profiles 15, 16 and 17 were recorded from real servers (15.4.0, 16.1.1 and 17.6.0); profile 12 follows the source.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """The behaviour of one generation, as far as clients of work packages depend on it."""

    version: str
    display_ids: bool
    """Work packages have a ``displayId``, and paths accept semantic ids such as ``VERG-7``."""
    valid_subset: bool
    """``valid_subset`` drops invalid filter values; an older server ignores the parameter and rejects the filter."""
    bearer_api_tokens: bool
    bearer_challenge: bool
    """Whether a request without credentials gets a Bearer challenge with resource metadata, or a Basic one."""
    invalid_token_challenge: bool
    """Whether a wrong bearer token gets a challenge at all."""
    service_desc_link: bool
    workspaces: bool
    """Portfolios and programmes exist, and links below a project start with ``/workspaces``."""
    wide_typeahead: bool
    """Whether type-ahead also matches type, status and the words "open" and "closed"."""
    typeahead_label: str
    """The name of the type-ahead filter in messages."""
    selects_status_and_type: bool
    """Whether ``select`` knows ``status``, ``type`` and ``displayId`` of work packages."""
    names_page_limit: bool
    """Whether the configuration contains ``maximumAPIV3PageSize``."""
    rechecks_required_fields: bool
    """Whether each update validates all required custom fields, sent or not."""
    checks_links: bool
    """``_links`` that is not an object is a 400; an older server fails with 500."""
    words_reach_work_packages: bool
    """An id that is a word gets the 404 of work packages; on an older server no route matches it."""
    plain_unsupported_type: bool
    """415 has a plain text under the JSON content type, before authentication, if the request has a body."""
    delete_needs_content_type: bool


PROFILES = {
    "17": Profile(
        version="17.6.0", display_ids=True, valid_subset=True, bearer_api_tokens=True, bearer_challenge=True,
        invalid_token_challenge=True, service_desc_link=True, workspaces=True, wide_typeahead=True,
        typeahead_label="Autocomplete", selects_status_and_type=True, names_page_limit=True,
        rechecks_required_fields=False, checks_links=True, words_reach_work_packages=True,
        plain_unsupported_type=True, delete_needs_content_type=False,
    ),
    "16": Profile(
        version="16.1.1", display_ids=False, valid_subset=True, bearer_api_tokens=False, bearer_challenge=False,
        invalid_token_challenge=True, service_desc_link=True, workspaces=False, wide_typeahead=False,
        typeahead_label="Autocomplete", selects_status_and_type=False, names_page_limit=False,
        rechecks_required_fields=True, checks_links=False, words_reach_work_packages=False,
        plain_unsupported_type=True, delete_needs_content_type=False,
    ),
    "15": Profile(
        version="15.4.0", display_ids=False, valid_subset=True, bearer_api_tokens=False, bearer_challenge=False,
        invalid_token_challenge=True, service_desc_link=True, workspaces=False, wide_typeahead=False,
        typeahead_label="Typeahead", selects_status_and_type=False, names_page_limit=False,
        rechecks_required_fields=True, checks_links=False, words_reach_work_packages=False,
        plain_unsupported_type=True, delete_needs_content_type=False,
    ),
    "12": Profile(
        version="12.5.8", display_ids=False, valid_subset=False, bearer_api_tokens=False, bearer_challenge=False,
        invalid_token_challenge=False, service_desc_link=False, workspaces=False, wide_typeahead=False,
        typeahead_label="Typeahead", selects_status_and_type=False, names_page_limit=False,
        rechecks_required_fields=True, checks_links=False, words_reach_work_packages=False,
        plain_unsupported_type=False, delete_needs_content_type=True,
    ),
}  # fmt: skip
