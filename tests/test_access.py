from __future__ import annotations

import pytest

from panel.access import Access, Action
from panel.db import db
from panel.errors import Conflict, InvalidInput
from panel.faces.context import Panel
from panel.models import ApiToken, User


@pytest.fixture
def access(services: Panel) -> Access:
    return services.access


def test_the_first_start_makes_one_admin_with_a_one_time_password(access: Access) -> None:
    password = access.first_admin_password()

    assert password is not None
    user = access.sign_in("admin", password)
    assert user is not None
    assert user.must_choose


def test_the_one_time_password_ends_when_its_owner_chooses_one(access: Access) -> None:
    password = access.first_admin_password() or ""
    user = access.sign_in("admin", password)
    assert user is not None

    access.choose_password(user, "a better one")

    assert access.sign_in("admin", password) is None
    assert access.sign_in("ADMIN", "a better one") is not None
    assert access.first_admin_password() is None


def test_choosing_a_password_ends_other_sessions(access: Access) -> None:
    user = access.create_user("alice", "correct horse", role="admin")
    old = user.epoch

    access.choose_password(user, "battery staple")

    assert access.person(user.id, old) is None
    assert access.person(user.id, user.epoch) is user


def test_a_wrong_password_and_an_unknown_name_look_the_same(access: Access) -> None:
    access.create_user("alice", "correct horse", role="admin")

    assert access.sign_in("alice", "wrong") is None
    assert access.sign_in("nobody", "wrong") is None


def test_a_disabled_person_is_out(access: Access) -> None:
    user = access.create_user("bob", "correct horse", role="viewer")
    user.disabled = True
    db.session.commit()

    assert access.sign_in("bob", "correct horse") is None
    assert access.person(user.id, user.epoch) is None


@pytest.mark.parametrize(("name", "password"), [("", "correct horse"), ("a\nb", "correct horse"), ("alice", "short")])
def test_bad_names_and_passwords_are_refused(access: Access, name: str, password: str) -> None:
    with pytest.raises(InvalidInput):
        access.create_user(name, password, role="admin")


def test_a_name_is_taken_whatever_its_case(access: Access) -> None:
    access.create_user("Alice", "correct horse", role="admin")

    with pytest.raises(Conflict):
        access.create_user("alice", "correct horse", role="admin")


@pytest.mark.parametrize(
    ("scope", "can", "cannot"),
    [("read", Action.VIEW, Action.LINK), ("write", Action.UPDATE, Action.ADMIN), ("admin", Action.ADMIN, None)],
)
def test_a_token_may_do_what_its_scope_says(access: Access, scope: str, can: Action, cannot: Action | None) -> None:
    principal = access.by_token(access.create_token("script", scope))

    assert principal is not None
    assert principal.may(can)
    assert cannot is None or not principal.may(cannot)


def test_a_token_is_kept_as_a_hash_only(access: Access) -> None:
    token = access.create_token("script", "read")

    row = db.session.query(ApiToken).one()
    assert token not in (row.token_hash, row.name)


def test_a_revoked_or_invented_token_is_nobody(access: Access) -> None:
    token = access.create_token("script", "read")
    access.revoke_token(access.tokens()[0].id)

    assert access.by_token(token) is None
    assert access.by_token("lpt_invented") is None


def test_passwords_are_kept_as_scrypt(access: Access) -> None:
    access.create_user("alice", "correct horse", role="admin")

    assert db.session.query(User).one().password_hash.startswith("scrypt:")
