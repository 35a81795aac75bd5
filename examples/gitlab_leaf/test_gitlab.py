"""The contract kit of Leafpanel, applied to the GitLab leaf."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gitlab_standin import TOKEN, GitLabStandIn
from leafpanel_gitlab.gitlab import leaf

from panel.connector import Auth, AuthKind, Secret
from panel.integrations.registry import load_leaf
from panel.integrations.testing import CHECKS, Check, Subject
from panel.sandbox.standin import RunningServer, mounted


@pytest.fixture
def subject() -> Iterator[Subject]:
    standin = GitLabStandIn()
    server = RunningServer(mounted(gitlab=standin))
    yield Subject(
        load_leaf(leaf),
        standin,
        location=f"{server.url}/gitlab",
        auth=Auth(AuthKind.TOKEN, header="PRIVATE-TOKEN", secret=Secret(TOKEN)),
        known="town/bridges#1",
        gone="town/bridges#999",
        new={"project": "town/bridges", "title": "A new bridge"},
    )
    server.close()


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_the_leaf_keeps_the_contract(subject: Subject, check: Check) -> None:
    check(subject)
