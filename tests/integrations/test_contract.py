"""Rules for every leaf: a fault is never a result, and every URL stays within the source."""

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
from panel.core.domain import Item, State
from panel.core.errors import NotFound, NotSupported, ProviderUnavailable, Uncertain, WrongHost
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.integrations.registry import load_registry
from panel.sandbox.standin import FAULTS, RunningServer, StandIn, mounted

REGISTRY = load_registry()
EXAMPLE = load_registry(Path(toys.__file__).parent, toys.__name__).get("notebook")
LEAVES = [*REGISTRY.ids(), EXAMPLE.id]

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
"""The expected reason for each fault of a stand-in, the same for every upstream."""

Read = Callable[["Connected"], object]
READS: dict[str, Read] = {
    "check": lambda one: one.leaf.check(one.upstream()),
    "fetch": lambda one: one.leaf.fetch(one.upstream(), one.known),
    "fetch many": lambda one: one.leaf.fetch_many(one.upstream(), [one.known, one.gone]),
    "resolve": lambda one: one.leaf.resolve(one.upstream(), one.known),
    "search": lambda one: one.leaf.search(one.upstream(), "bridge", limit=10),
    "empty search": lambda one: one.leaf.search(one.upstream(), "", limit=10),
}


@dataclass
class Connected:
    """A leaf, a stand-in of its upstream, and the source that points to it."""

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
    notebook = NotebookStandIn()
    server = RunningServer(mounted(notebook=notebook))
    leaf = EXAMPLE if request.param == EXAMPLE.id else REGISTRY.get(request.param)
    standin = {"xwiki": upstreams.xwiki, "openproject": upstreams.openproject, "notebook": notebook}[leaf.id]
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


def test_every_fault_has_an_expected_reason() -> None:
    assert FAULTS.keys() == REASONS.keys()


# The size limit is the same for every operation, so one of them is enough.
CASES = [(fault, operation) for fault in REASONS for operation in READS if fault != "huge" or operation == "fetch many"]


@pytest.mark.parametrize(("fault", "operation"), CASES)
def test_a_fault_raises_its_reason_and_is_never_an_empty_result(
    connected: Connected, fault: str, operation: str
) -> None:
    connected.standin.fault = fault

    with pytest.raises(ProviderUnavailable) as caught:
        READS[operation](connected)

    assert caught.value.reason is REASONS[fault]


@pytest.mark.parametrize("fault", REASONS)
def test_a_fault_during_create_is_raised_and_the_create_is_not_repeated(connected: Connected, fault: str) -> None:
    connected.standin.fault = fault

    with pytest.raises((ProviderUnavailable, Uncertain)), connected.standin.counting() as requests:
        connected.leaf.create(connected.upstream(), NEW[connected.leaf.id])

    assert len([one for one in requests if one.method in ("POST", "PUT")]) <= 1


# --- live and gone items -----------------------------------------------------------------------------------------------


def test_a_gone_item_does_not_affect_the_others(connected: Connected) -> None:
    items = connected.leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])

    assert {text: item.state for text, item in items.items()} == {
        connected.known: State.LIVE,
        connected.gone: State.GONE,
    }


def test_a_gone_item_is_not_found(connected: Connected) -> None:
    for read in (connected.leaf.fetch, connected.leaf.resolve):
        with pytest.raises(NotFound):
            read(connected.upstream(), connected.gone)


def test_a_created_item_resolves_by_its_reference_and_its_url(connected: Connected) -> None:
    created = connected.leaf.create(connected.upstream(), NEW[connected.leaf.id])

    assert connected.leaf.resolve(connected.upstream(), created.reference).reference == created.reference
    assert connected.leaf.resolve(connected.upstream(), created.url).reference == created.reference


def test_a_url_of_another_host_is_rejected_without_a_request(connected: Connected) -> None:
    with pytest.raises(WrongHost) as caught, connected.standin.counting() as requests:
        connected.leaf.resolve(connected.upstream(), "https://elsewhere.example/bin/view/Main/")

    assert (caught.value.field, caught.value.host, requests) == ("reference", "elsewhere.example", [])


# --- URLs, rows and state ----------------------------------------------------------------------------------------------


def test_urls_are_browser_urls_within_the_source(connected: Connected) -> None:
    leaf, source = connected.leaf, connected.source
    items = leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])
    urls = [leaf.url_for(source, connected.known), *(item.url for item in items.values())]

    assert all(url.startswith(f"{source.root}/") for url in urls)
    assert not [url for url in urls if url.startswith(leaf.api_address(source))]


def test_rows_of_all_states_have_the_same_keys_and_are_json_serialisable(connected: Connected) -> None:
    items = connected.leaf.fetch_many(connected.upstream(), [connected.known, connected.gone])
    rows = [connected.leaf.row(item) for item in items.values()]

    assert rows[0].keys() == rows[1].keys() >= {"id", "reference", "title", "url", "state"}
    assert [json.loads(json.dumps(row))["reference"] for row in rows] == [connected.known, connected.gone]


@pytest.mark.parametrize("name", LEAVES)
def test_a_leaf_implements_update_or_raises_not_supported(name: str) -> None:
    leaf = EXAMPLE if name == EXAMPLE.id else REGISTRY.get(name)
    if leaf.descriptor.update:
        assert type(leaf).update is not Integration.update
        return
    with pytest.raises(NotSupported):
        leaf.update(None, "1", {"title": "x"})  # type: ignore[arg-type]


def test_leaves_hold_no_state(connected: Connected) -> None:
    before = dict(vars(connected.leaf))

    connected.leaf.search(connected.upstream(), "bridge", limit=5)
    connected.leaf.fetch_many(connected.upstream(), [connected.known])

    assert vars(connected.leaf) == before == {}


def test_a_gone_item_keeps_its_reference() -> None:
    item = Item.gone("7", "https://tracker.example/7")

    assert (item.reference, item.title, item.state) == ("7", "7", State.GONE)
