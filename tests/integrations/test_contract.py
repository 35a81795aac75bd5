"""What holds for every leaf, whatever its upstream: a fault is never a result, and nothing leads out of its source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import toys
from support import Upstreams, openproject_values, xwiki_values
from toys.notebook_server import NAME, PASSWORD, NotebookStandIn

from panel.connector import Auth, AuthKind, Caller, Connector, Secret, SourceConfig, Upstream
from panel.core.domain import Item, Reason, State
from panel.core.errors import NotFound, NotSupported, ProviderUnavailable, Uncertain, WrongHost
from panel.integrations.contract import Integration
from panel.integrations.registry import load_registry
from panel.sandbox.standin import FAULTS, RunningServer, StandIn, mounted

REGISTRY = load_registry()
TOY = load_registry(Path(toys.__file__).parent, toys.__name__).get("notebook")
LEAVES = [*REGISTRY.ids(), TOY.id]

KNOWN = {"xwiki": "xwiki:Sandbox.TestPage1", "openproject": "101", "notebook": "1"}
GONE = {"xwiki": "xwiki:Sandbox.Nowhere", "openproject": "999", "notebook": "999"}
NEW: dict[str, dict[str, Any]] = {
    "xwiki": {"space": "Sandbox", "title": "A new bridge"},
    "openproject": {"projectId": "1", "subject": "A new bridge"},
    "notebook": {"text": "A new bridge"},
}

REASONS = {
    "hang": Reason.TIMEOUT, "login-page": Reason.UNEXPECTED_RESPONSE, "empty-body": Reason.UNEXPECTED_RESPONSE,
    "empty-object": Reason.UNEXPECTED_RESPONSE, "wrong-type": Reason.UNEXPECTED_RESPONSE,
    "broken-json": Reason.UNEXPECTED_RESPONSE, "unauthorized": Reason.CREDENTIALS_REJECTED, "forbidden": Reason.FORBIDDEN,
    "rate-limited": Reason.RATE_LIMITED, "overloaded": Reason.RATE_LIMITED, "server-error": Reason.SERVER_ERROR,
    "unavailable": Reason.SERVER_ERROR, "redirect": Reason.UNEXPECTED_REDIRECT, "huge": Reason.TOO_LARGE,
}  # fmt: skip
"""What each fault switch of a stand-in means, whichever upstream it stands in for."""

Ask = Callable[["Connected"], object]
READING: dict[str, Ask] = {
    "check": lambda one: one.leaf.check(one.upstream()),
    "fetch": lambda one: one.leaf.fetch(one.upstream(), one.known),
    "fetch many": lambda one: one.leaf.fetch_many(one.upstream(), [one.known, one.gone]),
    "resolve": lambda one: one.leaf.resolve(one.upstream(), one.known),
    "search": lambda one: one.leaf.search(one.upstream(), "bridge", limit=10),
    "search for nothing": lambda one: one.leaf.search(one.upstream(), "", limit=10),
}


@dataclass
class Connected:
    """A leaf, a stand-in of its upstream, and the source that leads there."""

    leaf: Integration
    standin: StandIn
    source: SourceConfig
    connector: Connector

    @property
    def known(self) -> str:
        return KNOWN[self.leaf.id]

    @property
    def gone(self) -> str:
        return GONE[self.leaf.id]

    def upstream(self) -> Upstream:
        deadline_s = 0.4 if self.standin.fault == "hang" else 20
        return self.connector.open(self.source, Caller("test", "alice"), judge=self.leaf.judge, deadline_s=deadline_s)


@pytest.fixture(params=LEAVES)
def connected(request: pytest.FixtureRequest, upstreams: Upstreams) -> Iterator[Connected]:
    notes = NotebookStandIn()
    server = RunningServer(mounted(notebook=notes))
    leaf = TOY if request.param == TOY.id else REGISTRY.get(request.param)
    standin = {"xwiki": upstreams.xwiki, "openproject": upstreams.openproject, "notebook": notes}[leaf.id]
    values = {
        "xwiki": xwiki_values(upstreams), "openproject": openproject_values(upstreams),
        "notebook": {"location": f"{server.url}/notebook", "auth": {"username": NAME, "password": PASSWORD}},
    }[leaf.id]  # fmt: skip
    auth = Auth(AuthKind.BASIC, values["auth"]["username"], secret=Secret(values["auth"]["password"]))
    source = SourceConfig("1", leaf.id, leaf.id, leaf.instance_root(values["location"]), auth)
    connector = Connector(allowed=lambda: (server.host_port, upstreams.server.host_port))
    yield Connected(leaf, standin, source, connector)
    server.close()


# --- a fault is never a result ---------------------------------------------------------------------------------------


def test_every_fault_has_its_reason_here() -> None:
    assert FAULTS.keys() == REASONS.keys()


# What is too large is too large for every operation; one says so.
CASES = [
    (fault, operation) for fault in REASONS for operation in READING if fault != "huge" or operation == "fetch many"
]


@pytest.mark.parametrize(("fault", "operation"), CASES)
def test_a_fault_is_told_and_nothing_is_called_empty(connected: Connected, fault: str, operation: str) -> None:
    connected.standin.fault = fault

    with pytest.raises(ProviderUnavailable) as told:
        READING[operation](connected)

    assert told.value.reason is REASONS[fault]


@pytest.mark.parametrize("fault", REASONS)
def test_a_fault_while_creating_is_told_and_creates_nothing_twice(connected: Connected, fault: str) -> None:
    connected.standin.fault = fault

    with pytest.raises((ProviderUnavailable, Uncertain)), connected.standin.counting() as asked:
        connected.leaf.create(connected.upstream(), NEW[connected.leaf.id])

    assert len([one for one in asked if one.method in ("POST", "PUT")]) <= 1


# --- what is there, and what is not ------------------------------------------------------------------------------------


def test_one_that_is_gone_spoils_nothing(connected: Connected) -> None:
    items = connected.leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])

    assert {text: item.state for text, item in items.items()} == {
        connected.known: State.LIVE,
        connected.gone: State.GONE,
    }


def test_one_that_is_gone_is_not_found(connected: Connected) -> None:
    for look in (connected.leaf.fetch, connected.leaf.resolve):
        with pytest.raises(NotFound):
            look(connected.upstream(), connected.gone)


def test_what_is_found_can_be_linked_by_its_reference(connected: Connected) -> None:
    made = connected.leaf.create(connected.upstream(), NEW[connected.leaf.id])

    assert connected.leaf.resolve(connected.upstream(), made.reference).reference == made.reference
    assert connected.leaf.resolve(connected.upstream(), made.url).reference == made.reference


def test_an_address_of_another_host_is_told_apart(connected: Connected) -> None:
    with pytest.raises(WrongHost) as told, connected.standin.counting() as asked:
        connected.leaf.resolve(connected.upstream(), "https://elsewhere.example/bin/view/Main/")

    assert (told.value.field, told.value.host, asked) == ("reference", "elsewhere.example", [])


# --- shape -------------------------------------------------------------------------------------------------------------


def test_addresses_open_in_a_browser_and_stay_in_the_source(connected: Connected) -> None:
    leaf, source = connected.leaf, connected.source
    items = leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])
    urls = [leaf.url_for(source, connected.known), *(item.url for item in items.values())]

    assert all(url.startswith(f"{source.root}/") for url in urls)
    assert not [url for url in urls if url.startswith(leaf.api_address(source))]


def test_rows_of_all_states_have_the_same_keys_and_are_json(connected: Connected) -> None:
    items = connected.leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])
    rows = [connected.leaf.row(item) for item in items.values()]

    assert rows[0].keys() == rows[1].keys() >= {"id", "reference", "title", "url", "state"}
    assert [json.loads(json.dumps(row))["reference"] for row in rows] == [connected.known, connected.gone]


@pytest.mark.parametrize("name", LEAVES)
def test_what_a_leaf_does_not_do_it_says(name: str) -> None:
    leaf = TOY if name == TOY.id else REGISTRY.get(name)
    if leaf.descriptor.update:
        assert type(leaf).update is not Integration.update
        return
    with pytest.raises(NotSupported):
        leaf.update(None, "1", {"title": "x"})  # type: ignore[arg-type]


def test_no_leaf_keeps_anything(connected: Connected) -> None:
    before = dict(vars(connected.leaf))

    connected.leaf.search(connected.upstream(), "bridge", limit=5)
    connected.leaf.fetch_many(connected.upstream(), [connected.known])

    assert vars(connected.leaf) == before == {}


def test_an_item_that_is_gone_keeps_its_reference() -> None:
    item = Item.gone("7", "https://tracker.example/7")

    assert (item.reference, item.title, item.state) == ("7", "7", State.GONE)
