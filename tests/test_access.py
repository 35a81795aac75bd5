from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from support import CONSOLE

from panel.accounts.api_tokens import Access, TokenRequest
from panel.accounts.principal import Action, Limits, Principal
from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput, NotFound
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import ApiToken

CASE = ObjectRef("demo", "case", "1")
PERMIT = ObjectRef("permits", "case", "1")


@pytest.fixture
def access(services: Panel) -> Access:
    return services.access


def made(access: Access, scope: str = "read", **limits: Any) -> str:
    return access.create_token(TokenRequest("script", scope, **limits), by=CONSOLE)


@pytest.mark.parametrize(
    ("scope", "can", "cannot"),
    [("read", Action.VIEW, Action.LINK), ("write", Action.UPDATE, Action.ADMIN), ("admin", Action.ADMIN, None)],
)
def test_a_token_may_do_what_its_scope_says(access: Access, scope: str, can: Action, cannot: Action | None) -> None:
    principal = access.by_token(made(access, scope))

    assert principal is not None
    assert principal.may(can)
    assert cannot is None or not principal.may(cannot)


def test_a_token_is_kept_as_a_hash_only(access: Access) -> None:
    token = made(access)

    row = db.session.query(ApiToken).one()
    assert token not in (row.token_hash, row.name)


def test_a_revoked_or_invented_token_is_nobody(access: Access) -> None:
    token = made(access)
    access.revoke_token(access.tokens()[0], by=CONSOLE)

    assert access.by_token(token) is None
    assert access.by_token("lpt_invented") is None


def test_a_token_ends_on_its_day(access: Access) -> None:
    token = made(access, days=30)

    with time_machine.travel(now() + timedelta(days=29, hours=23)):
        assert access.by_token(token) is not None
    with time_machine.travel(now() + timedelta(days=30, seconds=1)):
        assert access.by_token(token) is None


def test_the_last_use_of_a_token_is_noted_once_a_minute(access: Access) -> None:
    token, began = made(access), now()

    def last_used_after(seconds: float) -> Any:
        with time_machine.travel(began + timedelta(seconds=seconds), tick=False):
            access.by_token(token)
        db.session.expire_all()
        return access.tokens()[0].last_used_at

    assert last_used_after(10) == began + timedelta(seconds=10)
    assert last_used_after(40) == began + timedelta(seconds=10)
    assert last_used_after(80) == began + timedelta(seconds=80)


def test_objects_of_other_registers_are_not_there_for_a_limited_token(access: Access) -> None:
    principal = access.by_token(made(access, "write", registers=("demo",)))

    assert principal is not None
    principal.require(Action.LINK, CASE, "xwiki")
    with pytest.raises(NotFound):
        principal.require(Action.LINK, PERMIT, "xwiki")


def test_other_integrations_are_not_there_for_a_limited_token(access: Access) -> None:
    principal = access.by_token(made(access, integrations=("xwiki",)))

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


@pytest.mark.parametrize(
    ("wish", "field"),
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
def test_a_token_that_cannot_be_is_refused_by_its_field(access: Access, wish: TokenRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        access.create_token(wish, by=CONSOLE)

    assert refused.value.field == field
    assert access.tokens() == []
