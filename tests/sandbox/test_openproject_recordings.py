"""The OpenProject stand-in answers each recorded request like the real server of its version."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from recordings import Answer, Recording, differences, filled, read
from werkzeug.test import Client

from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.openproject_options import LOOPBACK
from panel.sandbox.openproject_seeds import DEMO_ACCOUNTS, DEMO_API_KEY

VERSIONS = ("15", "16", "17")
VALUES = {
    "wp": 1528, "wp2": 1493, "gone": 99999, "invisible": 1500, "shared": 1544, "placeholder": 1545, "milestone": 1497,
    "programme": 1550, "proj": 11, "required": 15, "type": 1, "othertype": 4,
}  # fmt: skip
"""The ids of the demo content for the placeholders of the recordings."""


def recordings(version: str) -> tuple[Recording, ...]:
    return read(f"openproject-{version}.jsonl")


def ask(standin: OpenProjectStandIn, real: Recording) -> Answer:
    """Send a recorded request to the stand-in without a network."""
    standin.hosts = LOOPBACK
    standin.login_required = not real.is_open
    lock = standin.world.work_packages[VALUES["wp"]].lock_version
    request = filled(real.request, {**VALUES, "lock": lock})
    response = Client(standin).open(
        request["path"],
        method=request["method"],
        base_url="http://127.0.0.1",
        query_string={key: _text(value) for key, value in request.get("query", {}).items()},
        data=json.dumps(request["body"]) if "body" in request else None,
        headers=_headers(real, request),
    )
    text = response.get_data(as_text=True)
    is_json = text.startswith("{")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, json.loads(text) if is_json else text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _headers(real: Recording, request: Mapping[str, Any]) -> dict[str, str]:
    key = DEMO_ACCOUNTS.get(real.account, DEMO_API_KEY)
    schemes = {
        "key": "Basic " + base64.b64encode(f"apikey:{key}".encode()).decode(),
        "key-as-bearer": f"Bearer {key}",
        "none": "",
    }
    auth = request.get("auth", "key")
    credentials = schemes.get(auth, auth)
    headers = {"Accept": "application/hal+json", **({"Authorization": credentials} if credentials else {})}
    content_type = {"Content-Type": "application/json"} if "body" in request else {}
    return {**headers, **content_type, **request.get("headers", {})}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_request_is_answered_like_by_the_real_server(version: str) -> None:
    found = deviations(recordings(version), version)

    assert len(found) >= 84
    assert {name: sentences for name, sentences in found.items() if sentences} == {}


def deviations(recorded: tuple[Recording, ...], version: str) -> dict[str, list[str]]:
    """Return the name of each request with its differences. Each request meets new demo content."""
    return {real.name: differences(real, ask(OpenProjectStandIn(version, "demo"), real)) for real in recorded}


def test_versions_are_not_interchangeable() -> None:
    """The comparison sees the differences between the versions themselves."""
    pairs = (("15", "17"), ("17", "16"), ("16", "12"))
    counts = [sum(map(bool, deviations(recordings(recorded), version).values())) for recorded, version in pairs]

    assert min(counts) > 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": 201}, "status is 201"),
        ({"headers": {"content-type": "application/json"}}, "headers is"),
        ({"body": "text"}, "JSON is False"),
        ({"body": {"errorIdentifier": "urn:x:NotFound"}}, "error is 'NotFound'"),
        ({"body": {"_embedded": {"details": {"attribute": "subject"}}}}, "attribute is 'subject'"),
        ({"body": {"_links": {"self": {"href": "/", "method": "get"}}}}, "no key /_links/self/method"),
    ],
)
def test_a_deviation_is_found(change: dict[str, Any], sentence: str) -> None:
    real = next(one for one in recordings("17") if one.name == "get")
    answer = ask(OpenProjectStandIn("17", "demo"), real)

    assert differences(real, answer) == []
    assert any(sentence in found for found in differences(real, replace(answer, **change)))
