"""A source whose location is the outer address while connections go to an inner one: stored, exported, and used."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support import ALICE, CASE, Upstreams, openproject_values, xwiki_values

from panel.connector import Caller
from panel.core.errors import InvalidInput
from panel.links.visitor import Visitor
from panel.services import Panel

OUTER = "http://projects.example.org/openproject"
TESTER = Caller("test", "alice")


def outer_values(upstreams: Upstreams, **changes: Any) -> dict[str, Any]:
    """A tracker under an outer name that no name service knows."""
    upstreams.openproject.hosts = frozenset({"projects.example.org"})
    values = openproject_values(upstreams, location=OUTER, connect_to=upstreams.server.host_port)
    return {**values, **changes}


def test_an_opened_inner_address_may_carry_a_credential_over_plain_http(services: Panel, upstreams: Upstreams) -> None:
    with pytest.raises(InvalidInput, match=r"projects\.example\.org would send the credential unencrypted"):
        services.sources.create(outer_values(upstreams, connect_to=""), by=ALICE)

    saved = services.sources.create(outer_values(upstreams), by=ALICE)

    assert saved.warnings == ("The address is plain http: the credential travels unencrypted.",)
    assert saved.source.secret_origin == "http://projects.example.org"


@pytest.mark.parametrize(
    "text", ["tracker", "tracker:", "tracker:0", "tracker:65536", "a b:80", "http://a:80", "::1:80"]
)
def test_what_is_no_host_and_port_is_refused_by_name(services: Panel, upstreams: Upstreams, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"“connect_to” must be a host and a port") as caught:
        services.sources.create(xwiki_values(upstreams, connect_to=text), by=ALICE)

    assert caught.value.field == "connect_to"


@pytest.mark.parametrize(
    ("text", "stored"), [(" Tracker.:8080 ", "tracker:8080"), ("[::0001]:80", "[::1]:80"), ("", "")]
)
def test_it_is_stored_in_one_spelling_and_exported(
    services: Panel, upstreams: Upstreams, text: str, stored: str
) -> None:
    values = xwiki_values(upstreams, location="https://wiki.example.org", connect_to=text)
    source = services.sources.create(values, by=ALICE).source

    assert services.sources.values(source)["connect_to"] == stored
    assert yaml.safe_load(services.sources.export("xwiki"))["source"].get("connect_to", "") == stored


def test_changing_it_keeps_the_secret(services: Panel, upstreams: Upstreams) -> None:
    services.sources.create(
        outer_values(upstreams, connect_to="127.0.0.1:9", location="https://p.example.org"), by=ALICE
    )

    changed = services.sources.change("openproject", {"connect_to": upstreams.server.host_port}, by=ALICE)

    assert changed.source.secret_origin == "https://p.example.org"


def test_the_upstream_is_reached_and_every_address_is_the_outer_one(
    services: Panel, upstreams: Upstreams, visitor: Visitor
) -> None:
    services.sources.create(outer_values(upstreams), by=ALICE)

    assert services.connection_tests.run("openproject", caller=TESTER).ok
    row = services.links.link(visitor, "openproject", CASE, f"{OUTER}/work_packages/101")
    assert row.item is not None
    assert (row.pointer.url, row.item.url) == (f"{OUTER}/work_packages/101",) * 2
    assert {one.headers["host"] for one in upstreams.openproject.requests} == {"projects.example.org"}


def test_without_it_the_upstream_under_another_name_is_told_by_that(services: Panel, upstreams: Upstreams) -> None:
    values = outer_values(upstreams, connect_to="", location=upstreams.openproject_url)
    services.sources.create(values, by=ALICE)

    test = services.connection_tests.run("openproject", caller=TESTER)

    failed = next(step for step in test.steps if step.ok is False)
    assert (failed.name, failed.field) == ("product", "location")
    assert "answers only under its own host name, and 127.0.0.1 is another one" in failed.message


def test_an_inner_address_that_is_not_opened_fails_the_first_step(services: Panel, upstreams: Upstreams) -> None:
    services.sources.create(
        xwiki_values(upstreams, location="https://wiki.example.org", connect_to="10.9.8.7:80"), by=ALICE
    )

    test = services.connection_tests.run("xwiki", caller=TESTER)

    assert (test.steps[0].ok, test.steps[0].field) == (False, "connect_to")
    assert "10.9.8.7:80 is not at a public address" in test.steps[0].message
