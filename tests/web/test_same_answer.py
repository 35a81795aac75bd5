"""One question, three faces: tab, JSON and MCP say the same, whatever the world does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, Served
from support import ALICE, CASE_PATH, Upstreams, signed_in_client
from tab_reader import Seen, get, leaf

from panel.storage.engine import db
from panel.storage.models import Source

PAGE, PACKAGE = "xwiki:Sandbox.TestPage1", "101"
LEAVES = {"xwiki": PAGE, "openproject": PACKAGE}
HIDDEN = {"retryAfter"}
"""Seconds left run on between two questions."""


@dataclass
class Faces:
    """The same panel, asked through each of its faces."""

    served: Served
    agent: Agent
    headers: dict[str, str]
    saving: str = ""
    """A source that is saved before each question, so that what the last one met is forgotten."""

    def _start_anew(self) -> None:
        if self.saving:
            with self.served.app.app_context():
                self.served.services.sources.change(self.saving, {"name": secrets.token_hex(4)}, by=ALICE)

    def tab(self, integration: str) -> Seen:
        self._start_anew()
        return get(signed_in_client(self.served.app, f"reader of {integration}", "editor"), leaf(integration))

    def json(self, path: str) -> tuple[int, Any]:
        self._start_anew()
        answer = self.served.app.test_client().get(path, headers=self.headers)
        return answer.status_code, answer.json

    def both(self, action: str, integration: str, path: str, **given: Any) -> tuple[Any, Any]:
        """What JSON and MCP answer; a failure of one is a failure of the other."""
        status, polled = self.json(path)
        self._start_anew()
        result = self.agent.call(action, integration, **given)
        assert result.is_error == (status >= 400)
        assert not result.is_error or result.structured_content["code"] == status
        return polled, result.structured_content


@pytest.fixture
def faces(served: Served) -> Iterator[Faces]:
    with served.agent() as agent:
        yield Faces(served, agent, served.bearer())


@pytest.fixture
def linked(faces: Faces) -> Faces:
    for integration, reference in LEAVES.items():
        faces.agent.body("link", integration, payload={"reference": reference})
    return faces


def without_countdown(body: Any) -> Any:
    return {**body, "details": {key: value for key, value in body["details"].items() if key not in HIDDEN}}


@pytest.mark.parametrize("integration", LEAVES)
def test_items(linked: Faces, integration: str) -> None:
    polled, told = linked.both("list", integration, f"{CASE_PATH}/{integration}")
    seen = linked.tab(integration)

    assert told == polled
    assert [row["reference"] for row in told["items"]] == [LEAVES[integration]]
    assert seen.status == 200
    assert told["items"][0]["title"] in seen.text


@pytest.mark.parametrize("integration", LEAVES)
def test_nothing_linked(faces: Faces, integration: str) -> None:
    polled, told = faces.both("list", integration, f"{CASE_PATH}/{integration}")
    seen = faces.tab(integration)

    assert told == polled
    assert (told["items"], told["total"]) == ([], 0)
    assert (seen.status, seen.all(".lp-technical")) == (200, [])


@pytest.mark.parametrize("integration", LEAVES)
def test_one_item(linked: Faces, integration: str) -> None:
    reference = LEAVES[integration]

    polled, told = linked.both("get", integration, f"{CASE_PATH}/{integration}/{reference}", entityId=reference)

    assert told == polled


@pytest.mark.parametrize("integration", LEAVES)
def test_one_item_that_is_not_linked_here(faces: Faces, integration: str) -> None:
    reference = LEAVES[integration]

    polled, told = faces.both("get", integration, f"{CASE_PATH}/{integration}/{reference}", entityId=reference)

    assert told == polled
    assert told["code"] == 404


@pytest.mark.parametrize("integration", LEAVES)
def test_search(linked: Faces, integration: str) -> None:
    path = f"/api/integrations/{integration}/available?search=test&register=demo&schema=case&objectId=1"

    polled, told = linked.both("search", integration, path, filters={"search": "test"})

    assert told == polled


def test_an_unknown_integration(faces: Faces) -> None:
    polled, told = faces.both("list", "jira", f"{CASE_PATH}/jira")

    assert told == polled


@pytest.mark.parametrize("given", [{"_limit": "0"}, {"_page": "x"}])
def test_a_filter_that_is_no_number(faces: Faces, given: dict[str, str]) -> None:
    query = "&".join(f"{key}={value}" for key, value in given.items())

    polled, told = faces.both("list", "xwiki", f"{CASE_PATH}/xwiki?{query}", filters=given)

    assert told == polled


# --- why something is missing ----------------------------------------------------------------------------------------


def same_problem(faces: Faces, integration: str) -> Any:
    """Ask all three; the details that all three agree on."""
    polled, told = faces.both("list", integration, f"{CASE_PATH}/{integration}")
    seen = faces.tab(integration)
    details = told["details"]
    assert without_countdown(told) == without_countdown(polled)
    assert ("retryAfter" in details) == ("retryAfter" in polled["details"])
    assert f"{details['cause']} / {details['reason']}" in seen.texts(".lp-technical code")
    assert told["message"] in seen.text
    assert seen.status in (200, 503)
    return details


@pytest.mark.parametrize("integration", LEAVES)
@pytest.mark.parametrize(
    ("fault", "cause", "reason"),
    [
        ("unauthorized", "provider-auth", "credentials-rejected"),
        ("forbidden", "provider-auth", "forbidden"),
        ("rate-limited", "upstream-service-down", "rate-limited"),
        ("server-error", "upstream-service-down", "server-error"),
        ("login-page", "upstream-service-down", "unexpected-response"),
        ("redirect", "upstream-service-down", "unexpected-redirect"),
        ("huge", "upstream-service-down", "too-large"),
        ("hang", "upstream-service-down", "timeout"),
    ],
)  # One fault for each reason: ``test_contract.py`` tests which faults have it.
def test_a_fault_of_the_upstream(
    linked: Faces, upstreams: Upstreams, integration: str, fault: str, cause: str, reason: str
) -> None:
    if fault == "hang":
        change(linked, integration, timeout_s=0.5)
    getattr(upstreams, integration).fault, linked.saving = fault, integration

    details = same_problem(linked, integration)

    assert (details["cause"], details["reason"]) == (cause, reason)


def change(faces: Faces, integration: str, **values: Any) -> None:
    with faces.served.app.app_context():
        faces.served.services.sources.change(integration, values, by=ALICE)


@pytest.mark.parametrize("location", ["https://127.0.0.1:9/", "https://169.254.169.254/"])
def test_an_address_that_is_not_allowed(linked: Faces, location: str) -> None:
    # Put there past the form, as if the setting that had opened it was taken away since.
    with linked.served.app.app_context():
        source = db.session.query(Source).filter_by(slug="xwiki").one()
        source.location, source.auth_kind, source.secret, source.secret_origin = location, "none", None, ""
        db.session.commit()

    assert same_problem(linked, "xwiki")["reason"] == "address-not-allowed"


def test_nobody_listens(linked: Faces, upstreams: Upstreams) -> None:
    upstreams.close()
    linked.saving = "xwiki"

    assert same_problem(linked, "xwiki")["reason"] == "connect"


@pytest.mark.parametrize(("fault", "reason"), [("unavailable", "circuit-open"), ("rate-limited", "rate-limited")])
def test_a_source_that_is_left_alone_for_a_while(linked: Faces, upstreams: Upstreams, fault: str, reason: str) -> None:
    upstreams.xwiki.fault = fault
    for _ in range(5):
        linked.json(f"{CASE_PATH}/xwiki")

    details = same_problem(linked, "xwiki")

    assert (details["reason"], "retryAfter" in details) == (reason, True)


def test_a_source_that_is_switched_off(linked: Faces) -> None:
    change(linked, "xwiki", enabled=False)

    assert same_problem(linked, "xwiki")["reason"] == "source-disabled"


def test_a_source_that_is_gone(linked: Faces) -> None:
    with linked.served.app.app_context():
        linked.served.services.sources.delete("xwiki", by=ALICE)

    assert same_problem(linked, "xwiki")["reason"] == "source-missing"


def test_a_source_whose_secret_cannot_be_read(linked: Faces) -> None:
    with linked.served.app.app_context():
        db.session.query(Source).filter_by(slug="xwiki").update({"secret": "nonsense"})
        db.session.commit()

    assert same_problem(linked, "xwiki")["reason"] == "source-unreadable"


def test_the_connector_is_off(linked: Faces) -> None:
    with linked.served.app.app_context():
        linked.served.services.switches.set_connector(on=False, by=ALICE)

    polled, told = linked.both("list", "xwiki", f"{CASE_PATH}/xwiki")

    assert told == polled
    assert told["details"]["cause"] == "openconnector-down"
    assert "Linking is switched off" in linked.tab("xwiki").text


@pytest.mark.parametrize("fault", ["unauthorized", "server-error", "login-page"])
def test_search_and_writes_fail_alike(linked: Faces, upstreams: Upstreams, fault: str) -> None:
    upstreams.openproject.fault, linked.saving = fault, "openproject"
    client, payload = linked.served.app.test_client(), {"reference": "103"}

    posted = client.post(f"{CASE_PATH}/openproject", json=payload, headers=linked.headers).json
    told = linked.agent.failure("link", "openproject", payload=payload)
    available = "/api/integrations/openproject/available?search=x"
    polled, found = linked.both("search", "openproject", available, filters={"search": "x"})

    assert told == posted
    assert found == polled
