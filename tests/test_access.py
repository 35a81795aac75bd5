from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from support import CONSOLE

from panel.accounts.api_tokens import ApiTokens, TokenRequest
from panel.accounts.principal import SCOPES, Action, Limits, Principal
from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput, NotFound
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import ApiToken

CASE = ObjectRef("demo", "case", "1")
PERMIT = ObjectRef("permits", "case", "1")


@pytest.fixture
def api_tokens(services: Panel) -> ApiTokens:
    return services.api_tokens


def made(api_tokens: ApiTokens, scope: str = "read", **limits: Any) -> str:
    return api_tokens.create_token(TokenRequest("script", scope, **limits), by=CONSOLE)


@pytest.mark.parametrize(
    ("scope", "can", "cannot"),
    [("read", Action.VIEW, Action.LINK), ("write", Action.UPDATE, Action.ADMIN), ("admin", Action.ADMIN, None)],
)
def test_a_token_may_do_what_its_scope_says(
    api_tokens: ApiTokens, scope: str, can: Action, cannot: Action | None
) -> None:
    principal = api_tokens.by_token(made(api_tokens, scope))

    assert principal is not None
    assert principal.may(can)
    assert cannot is None or not principal.may(cannot)


def test_a_token_is_kept_as_a_hash_only(api_tokens: ApiTokens) -> None:
    token = made(api_tokens)

    row = db.session.query(ApiToken).one()
    assert token not in (row.token_hash, row.name)


def test_a_revoked_or_invented_token_is_nobody(api_tokens: ApiTokens) -> None:
    token = made(api_tokens)
    api_tokens.revoke_token(api_tokens.tokens()[0], by=CONSOLE)

    assert api_tokens.by_token(token) is None
    assert api_tokens.by_token("lpt_invented") is None


def test_a_token_ends_on_its_day(api_tokens: ApiTokens) -> None:
    token = made(api_tokens, days=30)

    with time_machine.travel(now() + timedelta(days=29, hours=23)):
        assert api_tokens.by_token(token) is not None
    with time_machine.travel(now() + timedelta(days=30, seconds=1)):
        assert api_tokens.by_token(token) is None


def test_the_last_use_of_a_token_is_noted_once_a_minute(api_tokens: ApiTokens) -> None:
    token, began = made(api_tokens), now()

    def last_used_after(seconds: float) -> Any:
        with time_machine.travel(began + timedelta(seconds=seconds), tick=False):
            api_tokens.by_token(token)
        db.session.expire_all()
        return api_tokens.tokens()[0].last_used_at

    assert last_used_after(10) == began + timedelta(seconds=10)
    assert last_used_after(40) == began + timedelta(seconds=10)
    assert last_used_after(80) == began + timedelta(seconds=80)


def test_objects_of_other_registers_are_not_there_for_a_limited_token(api_tokens: ApiTokens) -> None:
    principal = api_tokens.by_token(made(api_tokens, "write", registers=("demo",)))

    assert principal is not None
    principal.require(Action.LINK, CASE, "xwiki")
    with pytest.raises(NotFound):
        principal.require(Action.LINK, PERMIT, "xwiki")


def test_other_integrations_are_not_there_for_a_limited_token(api_tokens: ApiTokens) -> None:
    principal = api_tokens.by_token(made(api_tokens, integrations=("xwiki",)))

    assert principal is not None
    assert principal.sees("xwiki")
    with pytest.raises(NotFound):
        principal.require(Action.VIEW, CASE, "openproject")


def test_what_is_outside_of_the_limits_is_absent_before_it_is_forbidden() -> None:
    reader = Principal("clara", "embed:1", frozenset({Action.VIEW}), Limits(CASE))

    with pytest.raises(Forbidden):
        reader.require(Action.UNLINK, CASE)
    with pytest.raises(NotFound):
        reader.require(Action.UNLINK, PERMIT)


@pytest.mark.parametrize("right", [Action.LINK, Action.CREATE])
def test_searching_needs_the_right_to_link_or_to_create(right: Action) -> None:
    assert Principal("clara", "session", frozenset({right})).require_search(CASE, "xwiki") == CASE


@pytest.mark.parametrize("can", [SCOPES["read"], frozenset({Action.VIEW, Action.UPDATE, Action.UNLINK})])
def test_other_rights_do_not_search(can: frozenset[Action]) -> None:
    with pytest.raises(Forbidden, match="link or create"):
        Principal("clara", "session", can).require_search(CASE, "xwiki")


def test_an_embed_token_searches_for_its_own_object_only() -> None:
    principal = Principal("clara", "embed:1", frozenset({Action.LINK}), Limits(CASE))

    assert principal.require_search(None, "xwiki") == CASE
    with pytest.raises(NotFound):
        principal.require_search(PERMIT, "xwiki")


def test_a_token_limited_to_registers_names_the_object_that_it_searches_for(api_tokens: ApiTokens) -> None:
    principal = api_tokens.by_token(made(api_tokens, "write", registers=("demo",)))

    assert principal is not None
    assert principal.require_search(CASE, "xwiki") == CASE
    with pytest.raises(InvalidInput) as unnamed:
        principal.require_search(None, "xwiki")
    with pytest.raises(NotFound):
        principal.require_search(PERMIT, "xwiki")
    assert unnamed.value.field == "register"


def test_a_token_limited_to_integrations_searches_those_for_any_object(api_tokens: ApiTokens) -> None:
    principal = api_tokens.by_token(made(api_tokens, "write", integrations=("xwiki",)))

    assert principal is not None
    assert principal.require_search(None, "xwiki") is None
    with pytest.raises(NotFound):
        principal.require_search(CASE, "openproject")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (TokenRequest("", "read"), "name"),
        (TokenRequest("a\nb", "read"), "name"),
        (TokenRequest("script", "root"), "scope"),
        (TokenRequest("script", "read", days=0), "days"),
        (TokenRequest("script", "read", days=10**6), "days"),
        (TokenRequest("script", "read", registers=("a\nb",)), "registers"),
        (TokenRequest("script", "read", integrations=("jira",)), "integrations"),
        (TokenRequest("script", "admin", integrations=("xwiki",)), "scope"),
    ],
)
def test_a_token_that_cannot_be_is_refused_by_its_field(
    api_tokens: ApiTokens, settings: TokenRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        api_tokens.create_token(settings, by=CONSOLE)

    assert refused.value.field == field
    assert api_tokens.tokens() == []
