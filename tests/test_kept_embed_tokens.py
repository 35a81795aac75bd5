"""Verified embed tokens that a process keeps: no statement for the next use, and no use after any change or its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text
from support import CASE, CASE_PATH, CONSOLE

from panel.accounts import embed_tokens
from panel.accounts.embed_tokens import BadToken, EmbedApps, Secret
from panel.services import Panel
from panel.storage.engine import db


@pytest.fixture
def apps(services: Panel) -> EmbedApps:
    return services.embed_apps


@pytest.fixture
def secret(apps: EmbedApps) -> Secret:
    return apps.create("Cases", ["https://cases.example.org"], by=CONSOLE)


def verified(apps: EmbedApps, token: str) -> bool:
    """Whether the token is accepted, with a new transaction as each request has one."""
    db.session.rollback()
    try:
        return apps.verify(token).app == "Cases"
    except BadToken:
        return False


def test_a_second_poll_needs_no_statement_for_its_token(app: Flask, apps: EmbedApps, secret: Secret) -> None:
    headers = {"Authorization": f"Bearer {token_of(secret, CASE)}"}
    client, asked = app.test_client(), []
    db.session.rollback()
    first = poll(client, headers)
    event.listen(db.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement))

    assert (first, poll(client, headers)) == (503, 503)
    assert asked == []


def poll(client: FlaskClient, headers: dict[str, str]) -> int:
    return client.get(f"{CASE_PATH}/openproject", headers=headers).status_code


CHANGES: dict[str, Callable[[EmbedApps], None]] = {
    "switched off": lambda apps: apps.switch(apps.named("Cases"), on=False, by=CONSOLE),
    "removed": lambda apps: apps.remove(apps.named("Cases"), by=CONSOLE),
    "secret gone": lambda apps: below_the_panel("DELETE FROM embed_key"),
    "off in the database": lambda apps: below_the_panel("UPDATE embed_app SET disabled = true"),
}


def below_the_panel(statement: str) -> None:
    with db.engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_application_ends_it_at_once(
    apps: EmbedApps, secret: Secret, change: Callable[[EmbedApps], None]
) -> None:
    token = token_of(secret, CASE)
    before = [verified(apps, token) for _ in range(2)]

    change(apps)

    assert (before, verified(apps, token)) == ([True, True], False)


def test_new_limits_hold_for_a_token_that_was_verified_before(apps: EmbedApps, secret: Secret) -> None:
    token = token_of(secret, CASE)
    assert verified(apps, token)

    apps.set_limits(apps.named("Cases"), ["other"], [], by=CONSOLE)
    db.session.rollback()

    assert apps.verify(token).outside


@pytest.mark.parametrize("later_s", [700, -3600])
def test_its_time_is_checked_at_each_use(
    apps: EmbedApps, secret: Secret, monkeypatch: pytest.MonkeyPatch, later_s: int
) -> None:
    token = token_of(secret, CASE)
    moment = embed_tokens.time.time()
    assert verified(apps, token)

    monkeypatch.setattr(embed_tokens.time, "time", lambda: moment + later_s)

    assert not verified(apps, token)


def test_another_signature_of_the_same_claims_is_verified_by_itself(apps: EmbedApps, secret: Secret) -> None:
    token = token_of(secret, CASE)
    assert verified(apps, token)

    assert not verified(apps, f"{token[:-4]}AAAA")
