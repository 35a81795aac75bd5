"""Kept connections of a whole application: polls share one, and saving a source or the switch closes it."""

from __future__ import annotations

import time

import pytest
from flask import Flask
from support import ALICE, CASE_PATH, Upstreams, api_token

from panel.services import Panel


@pytest.fixture
def polled(connected: Flask, upstreams: Upstreams) -> Flask:
    """An application that has just read a list, and has a connection open since then."""
    wait_for_connections(upstreams, 0)
    headers = {"Authorization": f"Bearer {api_token(connected, 'write')}"}
    client, path = connected.test_client(), f"{CASE_PATH}/openproject"
    assert client.post(path, json={"reference": "101"}, headers=headers).status_code == 201
    for _ in range(3):
        assert client.get(path, headers=headers).status_code == 200
    assert upstreams.server.open_connections == 1
    return connected


def wait_for_connections(upstreams: Upstreams, number: int) -> bool:
    """Wait for this number, well beyond what a busy machine needs to close a connection."""
    end = time.monotonic() + 10
    while upstreams.server.open_connections != number and time.monotonic() < end:
        time.sleep(0.01)
    return upstreams.server.open_connections == number


def test_saving_a_source_closes_its_connections(polled: Flask, services: Panel, upstreams: Upstreams) -> None:
    started = time.monotonic()
    services.sources.change("openproject", {"name": "Tracker"}, by=ALICE)

    assert wait_for_connections(upstreams, 0)
    assert time.monotonic() - started < 3


def test_switching_the_connector_off_closes_all(polled: Flask, services: Panel, upstreams: Upstreams) -> None:
    started = time.monotonic()
    services.switches.set_connector(on=False, by=ALICE)

    assert wait_for_connections(upstreams, 0)
    assert time.monotonic() - started < 3
