"""Who answers and who is signed in at OpenProject: near misses, tokens of nobody, firewalls, other host names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from openproject_tracker import Tracker, paths, tracker_fixture

from panel.connector import Answer, Auth, AuthKind, GrantType, OauthClient, Secret, SourceConfig, Upstream
from panel.core.domain import Identity, Problem, State
from panel.core.errors import NotFound, ProviderUnavailable, Rejected
from panel.core.reasons import Reason
from panel.integrations.openproject.leaf import OpenProject
from panel.integrations.openproject.sign_in import classify

tracker = tracker_fixture("17")
early = tracker_fixture("12")

Read = Callable[[OpenProject, Upstream], object]
READS: dict[str, Read] = {
    "check": lambda leaf, upstream: leaf.check(upstream),
    "identity": lambda leaf, upstream: leaf.probe_identity(upstream),
    "resolve": lambda leaf, upstream: leaf.resolve(upstream, "201"),
    "fetch": lambda leaf, upstream: leaf.fetch(upstream, "201"),
    "fetch many": lambda leaf, upstream: leaf.fetch_many(upstream, ["201"]),
    "create": lambda leaf, upstream: leaf.create(upstream, {"projectId": "2", "subject": "A bridge"}),
    "update": lambda leaf, upstream: leaf.update(upstream, "201", {"subject": "A bridge", "lockVersion": "1"}),
    "types": lambda leaf, upstream: leaf.choices(upstream, "type", {"projectId": "2"}),
}
"""Reads and writes of what only some accounts see."""
every_read = pytest.mark.parametrize("read", READS.values(), ids=READS)


def failing(work: Callable[[], object]) -> Problem:
    with pytest.raises(ProviderUnavailable) as caught:
        work()
    return caught.value.problem


# --- near misses of a credential -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "password", "sentence"),
    [
        ("uma", "hunter2", "the user name is the word apikey"),
        ("uma", "T", "the user name is the word apikey"),
        ("apikey", "wrong", "does not know this API key, or its account is locked"),
        ("apikey", "L", "does not know this API key, or its account is locked"),
    ],
)
def test_a_refused_password_is_told_by_its_near_miss(
    tracker: Tracker, username: str, password: str, sentence: str
) -> None:
    source = replace(tracker.source(), auth=Auth(AuthKind.BASIC, username, secret=Secret(password)))

    problem = failing(lambda: tracker.leaf.check(tracker.open(source)))

    assert (problem.reason, problem.setting) == (Reason.CREDENTIALS_REJECTED, "auth")
    assert sentence in problem.message


@pytest.mark.parametrize(
    ("token", "sentence"),
    [("T", "begins with opapi-"), ("opapi-wrong", "does not know this API key"), ("opapi-L", "its account is locked")],
)
def test_a_refused_token_is_told_by_its_near_miss(tracker: Tracker, token: str, sentence: str) -> None:
    problem = failing(lambda: tracker.leaf.check(tracker.open(tracker.source(token, kind=AuthKind.TOKEN))))

    assert problem.reason is Reason.CREDENTIALS_REJECTED
    assert sentence in problem.message


def test_a_token_in_another_header_is_told_as_such(tracker: Tracker) -> None:
    ignored = tracker.source("T", kind=AuthKind.TOKEN, header="X-Api-Key")

    problem = failing(lambda: tracker.leaf.check(tracker.open(ignored)))

    assert problem.message == "OpenProject reads a token in the header Authorization only."


def test_an_early_server_takes_a_key_as_a_password_only(early: Tracker) -> None:
    problem = failing(lambda: early.leaf.check(early.open(early.source("opapi-T", kind=AuthKind.TOKEN))))

    assert "older than 17.2 and takes an API key only as a password" in problem.message


def test_a_source_without_an_account_is_told_that_it_needs_one(tracker: Tracker) -> None:
    problem = failing(lambda: tracker.leaf.check(tracker.open(tracker.source(None))))

    assert problem.message == "OpenProject requires an account, and this source signs in with none."


# --- a credential that stands for nobody -----------------------------------------------------------------------------


@every_read
def test_a_token_of_nobody_is_never_an_account(tracker: Tracker, read: Read) -> None:
    tracker.open_to_everybody()
    ignored = tracker.source("T", kind=AuthKind.TOKEN, header="X-Api-Key")

    problem = failing(lambda: read(tracker.leaf, tracker.open(ignored)))

    assert problem.reason is Reason.CREDENTIALS_REJECTED
    assert problem.message == "OpenProject answers as to everybody: no account stands behind the credential."


def test_without_sign_in_everybody_reads_what_is_public(tracker: Tracker) -> None:
    tracker.open_to_everybody()

    with tracker.open(tracker.source(None)) as upstream:
        assert tracker.leaf.check(upstream) == Identity(None, None)
        assert tracker.leaf.fetch_many(upstream, ["201"])["201"].state is State.GONE
        with pytest.raises(NotFound):
            tracker.leaf.fetch(upstream, "201")


def test_what_an_account_does_not_see_is_not_there(tracker: Tracker) -> None:
    source = tracker.source("opapi-T", kind=AuthKind.TOKEN)

    with tracker.standin.counting() as seen, tracker.open(source) as upstream:
        for _ in range(2):
            with pytest.raises(NotFound):
                tracker.leaf.fetch(upstream, "201")
        with pytest.raises(Rejected):
            tracker.leaf.create(upstream, {"projectId": "2", "subject": "A bridge"})

    assert paths(seen).count("GET /users/me") == 1


# --- health is what a list would meet --------------------------------------------------------------------------------


def test_an_account_without_a_project_is_not_healthy(tracker: Tracker) -> None:
    problem = failing(lambda: tracker.leaf.check(tracker.open(tracker.source("N"))))

    assert problem.reason is Reason.FORBIDDEN
    assert problem.message == "OpenProject knows the account, but lets it see work packages in no project."


def test_where_nothing_is_public_a_source_without_an_account_is_not_healthy(tracker: Tracker) -> None:
    tracker.standin.login_required = False

    problem = failing(lambda: tracker.leaf.check(tracker.open(tracker.source(None))))

    assert problem.reason is Reason.FORBIDDEN
    assert problem.message == "Nobody is signed in, and OpenProject shows work packages of no project to everybody."


# --- something else answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (200, "something in front of OpenProject shows a page instead"),
        (401, "something in front of OpenProject asks for a sign-in of its own"),
        (403, "something in front of OpenProject, such as a firewall, refuses the call"),
        (404, "OpenProject is not at this address, or something in front of it answered"),
    ],
)
@pytest.mark.parametrize("read", ["fetch", "resolve", "update"])
def test_what_something_in_front_answers_is_not_taken_for_openproject(
    tracker: Tracker, read: str, status: int, sentence: str
) -> None:
    for method in ("GET", "PATCH"):
        path = "/api/v3/work_packages/201"
        tracker.reply(status, "<h1>No</h1>", path=path, method=method, kind="text/html; charset=utf-8")

    problem = failing(lambda: READS[read](tracker.leaf, tracker.open()))

    assert problem.reason is Reason.UNEXPECTED_RESPONSE
    assert sentence in problem.message


def test_a_browser_check_is_named(tracker: Tracker) -> None:
    tracker.standin.fault = "wall"

    problem = failing(lambda: tracker.leaf.fetch(tracker.open(), "101"))

    assert problem.message.endswith("Cloudflare in front of OpenProject lets only browsers through.")


def test_json_of_a_gateway_is_no_error_of_openproject(tracker: Tracker) -> None:
    tracker.reply(404, {"message": "no Route matched"}, path="/api/v3/work_packages/101", kind="application/json")

    assert failing(lambda: tracker.leaf.fetch(tracker.open(), "101")).reason is Reason.UNEXPECTED_RESPONSE


def test_another_host_name_is_named_with_both_remedies(tracker: Tracker) -> None:
    tracker.standin.hosts = frozenset({"projects.example.org"})

    for read in (tracker.leaf.probe_product, tracker.leaf.check):
        problem = failing(lambda read=read: read(tracker.open()))  # type: ignore[misc]
        assert (problem.reason, problem.setting) == (Reason.UNEXPECTED_RESPONSE, "location")
        assert "127.0.0.1 is another one" in problem.message
        assert "connect_to" in problem.message
        assert "additional_host_names" in problem.message


def test_an_ended_oauth_token_is_no_wrong_key() -> None:
    client = OauthClient(GrantType.CLIENT_CREDENTIALS, "https://p.example.org/oauth/token", "panel")
    source = SourceConfig("1", "openproject", "Tracker", "https://p.example.org", Auth(AuthKind.OAUTH2, oauth=client))
    body = b'{"errorIdentifier": "urn:openproject-org:api:v3:errors:Unauthenticated"}'
    answer = Answer(401, {"content-type": "application/hal+json"}, body, "GET /api/v3/users/me")

    assert classify(answer, source) == Problem(
        Reason.CREDENTIALS_REJECTED, "OpenProject does not accept the access token."
    )
