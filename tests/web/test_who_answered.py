"""Who answered is proved, not guessed: every way in says the same of an answer that is not the upstream's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, Served
from support import ALICE, CASE_PATH, Upstreams

from panel.connector import Caller
from panel.sandbox.openproject import OAUTH_CLIENT_WITHOUT_USER, OAUTH_SECRET

LEAVES = {"xwiki": "xwiki:Sandbox.TestPage1", "openproject": "101"}
NEW = {"xwiki": {"space": "Sandbox", "title": "A bridge"}, "openproject": {"projectId": "1", "subject": "A bridge"}}
every_leaf = pytest.mark.parametrize("leaf", LEAVES)


@dataclass
class Panel:
    """The panel through each way in. The source is saved before each question, so that nothing is remembered."""

    served: Served
    agent: Agent
    headers: dict[str, str]

    def details(self, leaf: str, *names: str) -> dict[str, tuple[str, str]]:
        """Reason and message by way in, or those of ``names``."""
        ways: dict[str, Callable[[str], Any]] = {
            "list": self._list, "create": self._create, "link": self._link, "mcp": self._mcp, "health": self._health,
            "test": self._test,
        }  # fmt: skip
        found = {}
        for name in names or ways:
            with self.served.app.app_context():
                self.served.services.sources.change(leaf, {"name": name}, by=ALICE)
            found[name] = ways[name](leaf)
        return found

    def _body(self, body: Any) -> tuple[str, str]:
        return body["details"]["reason"], body["message"]

    def _list(self, leaf: str) -> tuple[str, str]:
        return self._body(self.served.app.test_client().get(f"{CASE_PATH}/{leaf}", headers=self.headers).json)

    def _create(self, leaf: str) -> tuple[str, str]:
        path = f"{CASE_PATH}/{leaf}/new"
        return self._body(self.served.app.test_client().post(path, json=NEW[leaf], headers=self.headers).json)

    def _link(self, leaf: str) -> tuple[str, str]:
        path, payload = f"{CASE_PATH}/{leaf}", {"reference": LEAVES[leaf]}
        return self._body(self.served.app.test_client().post(path, json=payload, headers=self.headers).json)

    def _mcp(self, leaf: str) -> tuple[str, str]:
        return self._body(self.agent.failure("list", leaf))

    def _health(self, leaf: str) -> tuple[str, str]:
        path = f"/api/integrations/{leaf}/health"
        body = self.served.app.test_client().get(path, headers=self.headers).json
        return body["reason"], body["message"]

    def _test(self, leaf: str) -> tuple[str, str]:
        with self.served.app.app_context():
            problem = self.served.services.connection_tests.run(leaf, caller=Caller("test", "alice")).problem
        assert problem is not None
        return problem.reason.value, problem.message


@pytest.fixture
def panel(served: Served) -> Iterator[Panel]:
    with served.agent() as agent:
        yield Panel(served, agent, served.bearer())


@every_leaf
def test_the_page_of_a_firewall_is_no_refusal_of_the_upstream(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    getattr(upstreams, leaf).fault = "wall"

    found = panel.details(leaf)

    assert {reason for reason, _ in found.values()} == {"unexpected-response"}
    assert all("Cloudflare in front of" in message for _, message in found.values()), found


def test_a_token_that_stands_for_nobody_signs_in_nowhere(panel: Panel, upstreams: Upstreams) -> None:
    standin = upstreams.openproject
    standin.login_required = False
    with panel.served.app.app_context():
        panel.agent.body("link", "openproject", payload={"reference": "101"})
        auth = {"type": "token", "header": "X-Api-Key", "token": "T"}
        panel.served.services.sources.change("openproject", {"auth": auth}, by=ALICE)

    found = panel.details("openproject")

    assert {reason for reason, _ in found.values()} <= {"credentials-rejected", "forbidden"}
    assert found["test"][1] == found["health"][1]
    assert "no account stands behind the credential" in found["test"][1]


def test_without_sign_in_nobody_is_signed_in(panel: Panel, upstreams: Upstreams) -> None:
    with panel.served.app.app_context():
        services = panel.served.services
        services.sources.change("xwiki", {"auth": {"type": "none"}}, by=ALICE)
        test = services.connection_tests.run("xwiki", caller=Caller("test", "alice"))
    health = panel.served.app.test_client().get("/api/integrations/xwiki/health", headers=panel.headers).json

    sentence = "Nobody is signed in; what everybody may see is shown."
    assert {step.name: step.message for step in test.steps}["identity"] == sentence
    assert (health["status"], health["message"], health.get("user")) == ("ok", sentence, None)


def test_health_of_an_account_without_a_project_is_not_ok(panel: Panel) -> None:
    with panel.served.app.app_context():
        auth = {"type": "basic", "username": "apikey", "password": "N"}
        panel.served.services.sources.change("openproject", {"auth": auth}, by=ALICE)

    found = panel.details("openproject", "health", "list", "test")

    assert found["health"][0] == found["list"][0] == found["test"][0] == "forbidden"
    assert "lets it see work packages in no project" in found["health"][1]


def test_an_oauth_application_without_a_user_names_the_setting_to_make(panel: Panel, upstreams: Upstreams) -> None:
    upstreams.openproject.login_required = False
    root = upstreams.openproject_url
    auth = {
        "type": "oauth2", "grantType": "client_credentials", "tokenUrl": f"{root}/oauth/token",
        "clientId": OAUTH_CLIENT_WITHOUT_USER, "clientSecret": OAUTH_SECRET,
    }  # fmt: skip
    with panel.served.app.app_context():
        panel.served.services.sources.change("openproject", {"auth": auth}, by=ALICE)

    found = panel.details("openproject", "health", "test")

    assert {reason for reason, _ in found.values()} == {"credentials-rejected"}
    assert all("Choose a user for client credentials" in message for _, message in found.values())
