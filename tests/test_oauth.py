"""Signing in with OAuth 2.0: tokens are had, kept sealed, and renewed once for everybody."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from oauth_flow import (
    BROWSER,
    CALLER,
    age,
    begin,
    config_of,
    connected,
    consent,
    failing,
    oauth_values,
    person,
    row,
    talk,
    visit,
    who,
)
from sqlalchemy import text
from support import ALICE, Upstreams
from werkzeug.wrappers import Response

from panel.connector import Connector, Deadline, SourceConfig
from panel.core.clock import now
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable, Rejected
from panel.core.health import AuthStatus
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OAUTH_CLIENT, OAUTH_SECRET
from panel.sandbox.openproject_oauth import OAuthServer
from panel.sandbox.standin import RunningServer
from panel.services import Panel
from panel.sources.oauth import ConnectFailed
from panel.sources.oauth_store import Grants
from panel.storage.engine import db
from panel.storage.models import OauthAttempt, OauthGrant

ROOT = Path(__file__).parent.parent


@pytest.fixture
def provider(upstreams: Upstreams) -> OAuthServer:
    return upstreams.openproject.oauth


@pytest.fixture
def client_only(services: Panel, upstreams: Upstreams) -> SourceConfig:
    """A source that signs in with client id and secret."""
    services.sources.create(oauth_values(upstreams), by=ALICE)
    return config_of(services)


@pytest.fixture
def given(services: Panel, upstreams: Upstreams) -> SourceConfig:
    """A source that Alice has given access."""
    return connected(services, upstreams)


@pytest.fixture
def leaf(services: Panel) -> Integration:
    return services.registry.get("openproject")


# --- both grants -----------------------------------------------------------------------------------------------------


def test_client_credentials_sign_in_and_the_token_is_kept(
    services: Panel, client_only: SourceConfig, provider: OAuthServer
) -> None:
    assert [who(services, client_only) for _ in range(3)] == ["Uma User"] * 3
    assert provider.counts == {"client_credentials": 1}


def test_a_person_gives_access_and_the_token_is_kept(
    services: Panel, given: SourceConfig, provider: OAuthServer
) -> None:
    assert [who(services, given) for _ in range(3)] == ["Uma User"] * 3
    assert provider.counts == {"authorization_code": 1}


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_the_ladder_is_green(services: Panel, upstreams: Upstreams, grant: str) -> None:
    if grant == "authorization_code":
        connected(services, upstreams)
    else:
        services.sources.create(oauth_values(upstreams), by=ALICE)

    ladder = services.connection_tests.run("openproject", caller=CALLER)

    assert ladder.ok, ladder
    assert len(ladder.steps) == 6


def test_a_token_is_renewed_when_less_than_a_tenth_of_its_life_is_left(
    services: Panel, client_only: SourceConfig, provider: OAuthServer
) -> None:
    provider.expires_in = 300
    who(services, client_only)

    with time_machine.travel(now() + timedelta(seconds=269), tick=True):
        who(services, client_only)
    before = provider.counts.total()
    with time_machine.travel(now() + timedelta(seconds=271), tick=True):
        who(services, client_only)

    assert (before, provider.counts.total()) == (1, 2)


def test_of_a_long_life_at_most_a_minute_is_given_away(
    services: Panel, client_only: SourceConfig, provider: OAuthServer
) -> None:
    who(services, client_only)

    with time_machine.travel(now() + timedelta(seconds=7200 - 65), tick=True):
        who(services, client_only)
    before = provider.counts.total()
    with time_machine.travel(now() + timedelta(seconds=7200 - 55), tick=True):
        who(services, client_only)

    assert (before, provider.counts.total()) == (1, 2)


def test_a_rotated_refresh_token_is_stored_before_its_access_token_is_used(
    services: Panel, given: SourceConfig, provider: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    real, version = provider.token_of, lambda: services.oauth._grants.read(given).version
    monkeypatch.setattr(provider, "token_of", lambda access: stored.append(version()) or real(access))
    who(services, given)
    age()

    who(services, given)

    assert stored == [2, 3]


def test_a_provider_that_does_not_rotate_keeps_its_refresh_token(
    services: Panel, given: SourceConfig, provider: OAuthServer
) -> None:
    provider.rotation = "never"

    for _ in range(3):
        age()
        assert who(services, given) == "Uma User"


def test_without_a_stated_life_a_token_is_kept_until_it_is_refused(
    services: Panel, client_only: SourceConfig, provider: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = OAuthServer._token
    monkeypatch.setattr(OAuthServer, "_token", lambda self, form, app: {**real(self, form, app), "expires_in": None})
    who(services, client_only)

    with time_machine.travel(now() + timedelta(seconds=7100), tick=True):
        who(services, client_only)
    provider.revoke_all()
    who(services, client_only)

    assert provider.counts.total() == 2


# --- what the upstream refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_a_refused_token_is_renewed_and_the_read_repeated_once(
    services: Panel, upstreams: Upstreams, provider: OAuthServer, grant: str
) -> None:
    if grant == "authorization_code":
        connected(services, upstreams)
    else:
        services.sources.create(oauth_values(upstreams), by=ALICE)
    config = config_of(services)
    who(services, config)
    provider.end_access_tokens()

    with upstreams.openproject.counting() as seen:
        assert who(services, config) == "Uma User"

    assert [one.status for one in seen] == [401, 200, 200]


@pytest.mark.parametrize(
    ("grant", "reason"),
    [
        ("client_credentials", Reason.CREDENTIALS_REJECTED),
        ("authorization_code", Reason.AUTHENTICATION_EXPIRED),
    ],
)
def test_an_upstream_that_refuses_a_new_token_too_is_told_so_once(
    services: Panel, upstreams: Upstreams, grant: str, reason: Reason
) -> None:
    if grant == "authorization_code":
        connected(services, upstreams)
    else:
        services.sources.create(oauth_values(upstreams), by=ALICE)
    upstreams.openproject.fault = "unauthorized"
    upstreams.openproject.fault_only = lambda request: request.path.startswith("/api")

    with upstreams.openproject.counting() as seen:
        problem = failing(lambda: who(services, config_of(services)))

    assert problem.reason is reason
    assert [one.path.rpartition("/")[2] for one in seen if "/api/" in one.path] == ["me", "me"]


def test_a_refused_write_is_not_repeated_and_the_next_one_has_a_new_token(
    services: Panel, given: SourceConfig, upstreams: Upstreams, provider: OAuthServer
) -> None:
    provider.end_access_tokens()

    def create() -> int:
        body = b'{"subject": "New", "_links": {"type": {"href": "/api/v3/types/1"}}}'
        path = ("api", "v3", "projects", "1", "work_packages")
        return talk(services, given).send("POST", *path, body=body, content_type="application/json").status

    problem = failing(create)

    assert problem.reason is Reason.AUTHENTICATION_EXPIRED
    assert create() == 201


def test_a_refused_post_that_only_reads_is_repeated_with_a_new_token(
    services: Panel, given: SourceConfig, provider: OAuthServer
) -> None:
    provider.end_access_tokens()
    path = ("api", "v3", "projects", "1", "work_packages", "form")

    answer = talk(services, given).send("POST", *path, body=b"{}", content_type="application/json", reads=True)

    assert answer.status == 200


def test_a_token_of_another_scope_is_forbidden(
    services: Panel, upstreams: Upstreams, provider: OAuthServer, leaf: Integration, visitor: Visitor
) -> None:
    provider.add_app("other", "s", scopes=("scim_v2",), credentials_user=5)
    auth = {"clientId": "other", "clientSecret": "s", "scope": "scim_v2"}
    services.sources.create(oauth_values(upstreams, **auth), by=ALICE)

    problem = failing(lambda: who(services, config_of(services)))
    health = services.links.health(visitor, "openproject")

    assert problem.reason is Reason.FORBIDDEN
    assert "scope" in problem.message
    assert (health.reason, health.auth_status) == (Reason.FORBIDDEN, AuthStatus.CONFIGURED)


# --- what the provider refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        ("invalid_client", Reason.CREDENTIALS_REJECTED, "client secret"),
        ("unauthorized_client", Reason.CREDENTIALS_REJECTED, "this way"),
        ("unsupported_grant_type", Reason.CREDENTIALS_REJECTED, "grant"),
        ("invalid_grant", Reason.CREDENTIALS_REJECTED, "no token"),
        ("invalid_scope", Reason.FORBIDDEN, "scope"),
        ("invalid_request", Reason.UNEXPECTED_RESPONSE, "request"),
        ("<script>alert(1)</script>", Reason.UNEXPECTED_RESPONSE, "OAuth"),
    ],
)
def test_each_refusal_of_the_provider_has_its_reason_and_sentence(
    services: Panel, client_only: SourceConfig, provider: OAuthServer, error: str, reason: Reason, word: str
) -> None:
    provider.fail_with = error

    problem = failing(lambda: who(services, client_only))

    assert problem.reason is reason
    assert word in problem.message
    assert "script" not in problem.message


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("login-page", Reason.UNEXPECTED_RESPONSE),
        ("empty-object", Reason.UNEXPECTED_RESPONSE),
        ("broken-json", Reason.UNEXPECTED_RESPONSE),
        ("wrong-type", Reason.UNEXPECTED_RESPONSE),
        ("huge", Reason.TOO_LARGE),
        ("redirect", Reason.UNEXPECTED_REDIRECT),
        ("rate-limited", Reason.RATE_LIMITED),
        ("server-error", Reason.SERVER_ERROR),
        ("unauthorized", Reason.CREDENTIALS_REJECTED),
        ("forbidden", Reason.UNEXPECTED_RESPONSE),
        ("hang", Reason.TIMEOUT),
    ],
)
def test_what_is_no_oauth_answer_is_told_for_what_it_is(
    services: Panel, client_only: SourceConfig, upstreams: Upstreams, fault: str, reason: Reason
) -> None:
    upstreams.openproject.fault = fault
    upstreams.openproject.fault_only = lambda request: request.path == "/oauth/token"

    assert failing(lambda: who(services, client_only, 1)).reason is reason


@pytest.mark.parametrize("life", [0, -10])
def test_a_token_that_has_ended_on_arrival_is_a_matter_of_clocks(
    services: Panel, given: SourceConfig, provider: OAuthServer, life: float
) -> None:
    provider.expires_in = life
    age()

    problem = failing(lambda: who(services, given))
    provider.expires_in = 7200

    assert problem.reason is Reason.AUTHENTICATION_EXPIRED
    assert "clock" in problem.message
    assert who(services, given) == "Uma User"  # the refresh token that came with it was stored all the same


def test_a_dead_refresh_token_expires_the_source_plainly(
    services: Panel, given: SourceConfig, provider: OAuthServer, visitor: Visitor
) -> None:
    provider.revoke_all()

    health = services.links.health(visitor, "openproject")
    again = services.links.health(visitor, "openproject")

    assert (health.status, health.reason, health.auth_status) == ("unavailable", "authentication-expired", "expired")
    assert "Connect again" in health.message
    assert again.message == health.message
    assert (row().state, row().sealed) == ("expired", None)


def test_a_revoked_application_is_no_outage(
    services: Panel, given: SourceConfig, provider: OAuthServer, visitor: Visitor
) -> None:
    provider.disable(OAUTH_CLIENT)

    health = services.links.health(visitor, "openproject")

    assert (health.reason, health.auth_status) == (Reason.CREDENTIALS_REJECTED, AuthStatus.CONFIGURED)
    assert row().state == "configured"


def test_without_a_refresh_token_the_access_ends_with_its_token(
    services: Panel, upstreams: Upstreams, provider: OAuthServer
) -> None:
    provider.gives_refresh = False
    config = connected(services, upstreams)
    assert who(services, config) == "Uma User"
    age()

    problem = failing(lambda: who(services, config))

    assert problem.reason is Reason.AUTHENTICATION_EXPIRED
    assert row().state == "expired"


def test_a_grant_never_given_is_missing(services: Panel, upstreams: Upstreams, visitor: Visitor) -> None:
    services.sources.create(oauth_values(upstreams, "authorization_code"), by=ALICE)

    health = services.links.health(visitor, "openproject")
    ladder = services.connection_tests.run("openproject", caller=CALLER)

    assert (health.status, health.auth_status) == ("unavailable", "missing")
    assert health.reason is Reason.AUTHENTICATION_EXPIRED
    assert [rung.ok for rung in ladder.steps] == [True, True, True, None, False, None]
    assert ladder.steps[4].field == "connect"


def test_while_the_provider_is_away_a_token_that_still_lives_is_used(
    services: Panel, given: SourceConfig, upstreams: Upstreams
) -> None:
    upstreams.openproject.fault = "unavailable"
    upstreams.openproject.fault_only = lambda request: request.path == "/oauth/token"

    with time_machine.travel(now() + timedelta(seconds=7170), tick=True):
        assert who(services, given) == "Uma User"
    with time_machine.travel(now() + timedelta(seconds=7205), tick=True):
        assert failing(lambda: who(services, given)).reason is Reason.SERVER_ERROR


# --- one renewal for everybody ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_fifty_calls_at_expiry_make_one_renewal(
    services: Panel, upstreams: Upstreams, provider: OAuthServer, grant: str
) -> None:
    if grant == "authorization_code":
        connected(services, upstreams)
    else:
        services.sources.create(oauth_values(upstreams), by=ALICE)
    # As many calls of one process may wait for a source as it has slots.
    config = replace(config_of(services), max_concurrency=50)
    who(services, config)
    before = provider.counts.total()
    age()

    with ThreadPoolExecutor(50) as pool:
        names = list(pool.map(lambda _: who(services, config, 60), range(50)))

    assert names == ["Uma User"] * 50
    assert provider.counts.total() == before + 1


def test_two_hundred_expiries_log_nobody_out(services: Panel, given: SourceConfig, provider: OAuthServer) -> None:
    for number in range(200):
        if number % 2:
            age()
        else:
            provider.end_access_tokens()
        assert who(services, given) == "Uma User"

    assert provider.counts == {"authorization_code": 1, "refresh_token": 200}
    assert row().state == "configured"


@pytest.mark.parametrize(
    ("change", "status"),
    [("state = 'expired', sealed = NULL, expires_at = NULL", AuthStatus.EXPIRED), (None, AuthStatus.MISSING)],
    ids=["ended", "gone"],
)
def test_a_grant_that_ends_before_the_lease_is_not_renewed(
    services: Panel,
    given: SourceConfig,
    monkeypatch: pytest.MonkeyPatch,
    change: str | None,
    status: AuthStatus,
) -> None:
    who(services, given)
    age()
    lease = Grants.lease

    def late(self: Grants, source_id: str, holder: str, seconds: float) -> bool:
        got = lease(self, source_id, holder, seconds)
        with self._engine.begin() as connection:
            connection.execute(text(f"UPDATE oauth_grant SET {change}" if change else "DELETE FROM oauth_grant"))
        return got

    monkeypatch.setattr(Grants, "lease", late)
    asked: list[str] = []
    monkeypatch.setattr(Connector, "post_form", lambda self, url, form, *_, **__: asked.append(form))
    problem = failing(lambda: who(services, given))

    assert (problem.reason, problem.auth_status or problem.reason.facts.auth) == (
        Reason.AUTHENTICATION_EXPIRED,
        status,
    )
    assert asked == []


def test_a_renewal_whose_lease_was_lost_is_thrown_away(
    services: Panel, given: SourceConfig, provider: OAuthServer
) -> None:
    """Somebody connects the source anew in the middle of a renewal: that grant is the one that stays."""
    user_id = person("bob")
    params = consent(begin(services, user_id))
    entered, leave = threading.Event(), threading.Event()
    provider.before_answer = lambda: (entered.set(), leave.wait(20)) if not entered.is_set() else None
    age()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(who, services, given)
        assert entered.wait(20)
        services.oauth.finish(visit(params, user_id), services.resolver.config_of_id, CALLER, by=ALICE)
        kept = row().sealed
        leave.set()
        assert slow.result(20) == "Uma User"

    assert row().sealed == kept


def test_those_who_wait_for_a_renewal_wait_no_longer_than_their_deadline(services: Panel, given: SourceConfig) -> None:
    age()
    Grants(db.engine, services.resolver._vault).lease(given.id, "gone", 60)

    problem = failing(lambda: services.oauth.header(given, Deadline(0.3), CALLER))

    assert problem.reason is Reason.BUSY


# --- several processes, and their sudden end -------------------------------------------------------------------------


class Children:
    def __init__(self, app: Flask, upstreams: Upstreams) -> None:
        config = app.extensions["leafpanel"].config
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PANEL_")},
            "PANEL_INSTANCE_DIR": str(config.instance_dir),
            "PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port,
            "PANEL_DATABASE_URL": config.database_url,
        }
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "oauth_child.py")], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self._line() == "ready"

    def _line(self) -> str:
        return self._process.stdout.readline().strip()  # type: ignore[union-attr]

    def run(self, what: str, threads: int = 1, processes: int = 1) -> tuple[list[str], list[int]]:
        """What the children printed, and how they ended."""
        self._process.stdin.write(f"{what} {threads} {processes}\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        printed: list[str] = []
        while not (line := self._line()).startswith("ended"):
            assert line or self._process.poll() is None, "the children are gone"
            printed.append(line)
        return printed, [int(status) for status in line.split()[1:]]

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(20)
        self._process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture
def children(app: Flask, upstreams: Upstreams) -> Iterator[Children]:
    found = Children(app, upstreams)
    yield found
    found.close()


def test_several_processes_make_one_renewal(given: SourceConfig, provider: OAuthServer, children: Children) -> None:
    age()

    printed, ended = children.run("use", threads=10, processes=5)

    assert ended == [0] * 5
    assert len(set(printed)) == 1
    assert provider.counts["refresh_token"] == 1


def test_a_hundred_kills_between_renewal_and_storing_lose_nothing(
    services: Panel, given: SourceConfig, provider: OAuthServer, children: Children
) -> None:
    for _ in range(100):
        age()
        _, ended = children.run("die")
        assert ended == [signal.SIGKILL]
        assert (row().state, bool(row().sealed), bool(row().lease_by)) == ("configured", True, True)

    # The lease of the last one is still there; it ends by itself.
    assert who(services, given) == "Uma User"
    assert provider.counts["refresh_token"] == 101


def test_where_a_kill_costs_the_grant_it_is_said_plainly(
    services: Panel, given: SourceConfig, provider: OAuthServer, children: Children, visitor: Visitor
) -> None:
    """Other providers end the old refresh token at once: nobody has the new one."""
    provider.rotation = "at-once"
    age()

    children.run("die")
    age()
    health = services.links.health(visitor, "openproject")

    assert (health.reason, health.auth_status) == (Reason.AUTHENTICATION_EXPIRED, AuthStatus.EXPIRED)
    assert "Connect again" in health.message


# --- hostile returns from the provider -------------------------------------------------------------------------------


@pytest.fixture
def waiting(services: Panel, upstreams: Upstreams) -> int:
    """A source that waits for consent, and Alice, who may give it."""
    services.sources.create(oauth_values(upstreams, "authorization_code"), by=ALICE)
    return person()


Change = Callable[[dict[str, list[str]]], dict[str, list[str]]]
HOSTILE: dict[str, Change] = {
    "no state": lambda told: {"code": told["code"]},
    "another state": lambda told: {**told, "state": ["x" * 48]},
    "two states": lambda told: {**told, "state": [*told["state"], "x"]},
    "two codes": lambda told: {**told, "code": [*told["code"], "x"]},
    "no code": lambda told: {"state": told["state"]},
    "a foreign code": lambda told: {**told, "code": ["x" * 43]},
    "an error beside the code": lambda told: {**told, "error": ["server_error"]},
    "another issuer": lambda told: {**told, "iss": ["https://attacker.example"]},
    "an unreadable issuer": lambda told: {**told, "iss": ["http://[::1"]},
    "an empty issuer": lambda told: {**told, "iss": [""]},
    "two issuers": lambda told: {**told, "iss": ["a", "b"]},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_tampered_return_stores_nothing(services: Panel, waiting: int, change: Change) -> None:
    told = change(consent(begin(services, waiting)))

    with pytest.raises((ConnectFailed, ProviderUnavailable)):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


def test_a_return_counts_once(services: Panel, waiting: int) -> None:
    told = consent(begin(services, waiting))
    services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)
    version = row().version

    with pytest.raises(ConnectFailed):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row().version == version


@pytest.mark.parametrize("who_else", ["another browser", "another person"])
def test_a_return_is_for_the_session_that_went(services: Panel, waiting: int, who_else: str) -> None:
    told = consent(begin(services, waiting))
    stranger = visit(told, waiting, "theirs") if who_else == "another browser" else visit(told, person("bob"))

    with pytest.raises(ConnectFailed):
        services.oauth.finish(stranger, services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


def test_a_return_after_ten_minutes_is_too_late(services: Panel, waiting: int) -> None:
    told = consent(begin(services, waiting))

    with time_machine.travel(now() + timedelta(minutes=10, seconds=1), tick=True), pytest.raises(ConnectFailed) as late:
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert "ten minutes" in str(late.value)
    assert row() is None


def test_an_injected_code_does_not_prove_our_challenge(services: Panel, waiting: int) -> None:
    """The attacker's own code, made in a visit of his, is put into the victim's return."""
    attacker = person("mallory")
    stolen = consent(begin(services, attacker, browser="mallory's"))["code"]
    told = consent(begin(services, waiting))

    problem = failing(
        lambda: services.oauth.finish(
            visit({**told, "code": stolen}, waiting), services.resolver.config_of_id, CALLER, by=ALICE
        )
    )

    assert problem.reason is Reason.AUTHENTICATION_EXPIRED
    assert row() is None


def test_a_return_for_one_source_gives_another_nothing(services: Panel, waiting: int, upstreams: Upstreams) -> None:
    services.sources.create({**oauth_values(upstreams, "authorization_code"), "slug": "other"}, by=ALICE)

    told = consent(begin(services, waiting, "other"))
    services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row().source_id == services.sources.get("other").id
    assert services.sources.consent(services.sources.get("openproject")) is AuthStatus.MISSING


def test_a_source_that_changes_meanwhile_takes_no_old_return(services: Panel, waiting: int) -> None:
    told = consent(begin(services, waiting))
    services.sources.change("openproject", {"auth": {"type": "oauth2", "scope": ""}}, by=ALICE)

    with pytest.raises(ConnectFailed):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


def test_a_source_that_is_deleted_meanwhile_takes_no_return(services: Panel, waiting: int) -> None:
    told = consent(begin(services, waiting))
    services.sources.delete("openproject", by=ALICE)

    with pytest.raises((ConnectFailed, NotFound)):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


def test_the_right_issuer_is_welcome(
    services: Panel, waiting: int, upstreams: Upstreams, provider: OAuthServer
) -> None:
    provider.issuer = upstreams.openproject_url
    told = consent(begin(services, waiting))

    services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row().state == "configured"


def test_another_issuer_on_the_same_host_is_not(
    services: Panel, waiting: int, upstreams: Upstreams, provider: OAuthServer
) -> None:
    provider.issuer = f"{upstreams.server.url}/another"
    told = consent(begin(services, waiting))

    with pytest.raises(ConnectFailed, match="another provider"):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


def test_declining_is_told_and_stores_nothing(services: Panel, waiting: int) -> None:
    told = consent(begin(services, waiting), "deny")

    with pytest.raises(ConnectFailed, match="declined"):
        services.oauth.finish(visit(told, waiting), services.resolver.config_of_id, CALLER, by=ALICE)

    assert row() is None


# --- to whom a grant belongs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "auth",
    [{"clientId": "another"}, {"clientSecret": "another"}, {"scope": "mcp"}, {"grantType": "client_credentials"}],
    ids=lambda auth: next(iter(auth)),
)
def test_another_client_drops_the_grant(services: Panel, given: SourceConfig, auth: dict[str, str]) -> None:
    services.sources.change("openproject", {"auth": {"type": "oauth2", **auth}}, by=ALICE)

    assert row() is None


@pytest.mark.parametrize(
    "change",
    [{"name": "Renamed"}, {"auth": {"type": "oauth2", "clientSecret": OAUTH_SECRET}}, {"rate_limit": "60/minute"}],
    ids=["name", "same secret", "limit"],
)
def test_any_other_change_keeps_it(services: Panel, given: SourceConfig, change: dict[str, Any]) -> None:
    services.sources.change("openproject", change, by=ALICE)

    assert who(services, config_of(services)) == "Uma User"


def test_another_origin_gets_neither_secret_nor_token(services: Panel, given: SourceConfig) -> None:
    elsewhere: list[str] = []
    server = RunningServer(_listening(elsewhere))
    try:
        auth = {"type": "oauth2", "tokenUrl": f"{server.url}/oauth/token"}
        with pytest.raises((InvalidInput, Rejected)):
            services.sources.change("openproject", {"auth": auth}, by=ALICE)
        db.session.rollback()
        assert who(services, config_of(services)) == "Uma User"
    finally:
        server.close()

    assert elsewhere == []


@pytest.mark.parametrize("field", ["location", "tokenUrl"])
def test_a_row_with_another_address_gives_its_tokens_to_nobody(
    services: Panel, given: SourceConfig, field: str
) -> None:
    elsewhere: list[str] = []
    server = RunningServer(_listening(elsewhere))
    source = services.sources.get("openproject")
    try:
        if field == "location":
            db.session.execute(text("UPDATE source SET location = :url"), {"url": f"{server.url}/openproject"})
        else:
            edited = json.dumps({**source.auth_fields, "tokenUrl": f"{server.url}/oauth/token"})
            db.session.execute(text("UPDATE source SET auth_fields = :fields"), {"fields": edited})
        db.session.commit()
        db.session.refresh(source)

        problem = failing(lambda: who(services, config_of(services)))
    finally:
        server.close()

    assert problem.reason is Reason.SOURCE_UNREADABLE
    assert elsewhere == []


def test_tokens_moved_to_another_row_do_not_open(services: Panel, given: SourceConfig, upstreams: Upstreams) -> None:
    services.sources.create({**oauth_values(upstreams, "authorization_code"), "slug": "other"}, by=ALICE)
    other = services.sources.get("other")
    db.session.execute(text("UPDATE oauth_grant SET source_id = :id"), {"id": other.id})
    db.session.commit()

    config = services.resolver.config_to_connect(other)
    problem = failing(lambda: who(services, config))

    assert problem.reason is Reason.SOURCE_UNREADABLE


def test_testing_typed_settings_uses_no_stored_grant_of_another_client(services: Panel, given: SourceConfig) -> None:
    values = {"auth": {"type": "oauth2", "scope": "other"}}

    same = services.connection_tests.run("openproject", {"name": "Renamed"}, caller=CALLER)
    changed = services.connection_tests.run("openproject", values, caller=CALLER)

    assert same.ok
    assert changed.problem is not None
    assert changed.problem.auth_status is AuthStatus.MISSING


# --- what must never be seen -----------------------------------------------------------------------------------------


def test_no_token_code_or_verifier_stands_in_database_or_logs(
    services: Panel, upstreams: Upstreams, provider: OAuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    config = connected(services, upstreams)
    codes = [one.query for one in upstreams.openproject.requests]
    age()
    who(services, config)
    provider.fail_with = "invalid_grant"
    age()
    failing(lambda: who(services, config))

    secrets = [word for token in provider.tokens for word in (token.access, token.refresh)] + [OAUTH_SECRET]
    seen = _everything(services) + caplog.text + repr(config) + repr(row())
    assert codes
    assert [secret for secret in secrets if secret and secret in seen] == []


def test_attempts_are_kept_as_hashes_and_go(services: Panel, waiting: int) -> None:
    address = begin(services, waiting)
    state = consent(address)["state"][0]

    assert state not in _everything(services)
    assert BROWSER not in _everything(services)
    with time_machine.travel(now() + timedelta(minutes=11), tick=True):
        begin(services, waiting)
        assert db.session.query(OauthAttempt).count() == 1


def _everything(services: Panel) -> str:
    """All that the database's files hold."""
    db.session.commit()
    found = io.StringIO()
    for path in Path(services.config.instance_dir).glob("*.sqlite3*"):
        found.write(path.read_bytes().decode("latin-1"))
    return found.getvalue()


def _listening(seen: list[str]) -> Any:
    from werkzeug.wrappers import Request, Response

    @Request.application
    def app(request: Request) -> Response:
        seen.append(request.path)
        return Response("")

    return app


def test_the_row_is_one_per_source(services: Panel, given: SourceConfig) -> None:
    assert db.session.query(OauthGrant).count() == 1


def test_a_401_of_something_in_front_costs_no_token(
    services: Panel, given: SourceConfig, provider: OAuthServer, leaf: Integration, upstreams: Upstreams
) -> None:
    real = upstreams.openproject.answer
    page = Response("<h1>Sign in</h1>", 401, content_type="text/html")
    upstreams.openproject.answer = lambda request: page  # type: ignore[method-assign]

    connector = services.sources._connector
    with connector.open(given, CALLER, classify=leaf.problem_of, fresh=True) as upstream:
        problem = failing(lambda: leaf.check(upstream))
    upstreams.openproject.answer = real  # type: ignore[method-assign]

    assert (problem.reason, who(services, given)) == (Reason.UNEXPECTED_RESPONSE, "Uma User")
    assert provider.counts == {"authorization_code": 1}


# --- how the client proves itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_a_provider_that_takes_the_secret_in_the_form_only_is_asked_that_way_from_then_on(
    services: Panel, upstreams: Upstreams, provider: OAuthServer, grant: str
) -> None:
    provider.client_auth = frozenset({"form"})
    if grant == "authorization_code":
        source = connected(services, upstreams)
    else:
        services.sources.create(oauth_values(upstreams), by=ALICE)
        source = config_of(services)

    for _ in range(2):
        assert who(services, source) == "Uma User"
        age()
    requests = [one for one in upstreams.openproject.requests if one.path.endswith("/oauth/token")]

    assert [one.status for one in requests] == [401, 200, 200]
    assert "authorization" not in requests[-1].headers


def test_a_wrong_client_secret_is_tried_both_ways_and_no_more(
    services: Panel, upstreams: Upstreams, provider: OAuthServer
) -> None:
    services.sources.create(oauth_values(upstreams, clientSecret="wrong"), by=ALICE)
    with upstreams.openproject.counting() as seen:
        problem = failing(lambda: who(services, config_of(services)))

    assert (problem.reason, problem.setting) == (Reason.CREDENTIALS_REJECTED, "auth.clientId")
    assert len(seen) == 2


def test_a_provider_that_changes_its_way_is_followed(
    services: Panel, client_only: SourceConfig, provider: OAuthServer
) -> None:
    for way in ("form", "basic", "form"):
        provider.client_auth = frozenset({way})
        age()
        assert who(services, client_only) == "Uma User"
