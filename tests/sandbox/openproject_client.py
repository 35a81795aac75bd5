"""Helpers of the tests of the OpenProject stand-in: a running stand-in with a client, and readers of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted

URN = "urn:openproject-org:api:v3:errors:"


@dataclass
class Tracker:
    """A running stand-in and a client that authenticates as user 5 by default."""

    standin: OpenProjectStandIn
    url: str

    def send(
        self, method: str, path: str, *, token: str | None = "T", headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            session.auth = None if token is None else ("apikey", token)
            return session.request(method, f"{self.url}/api/v3{path}", headers=headers, timeout=20, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> requests.Response:
        return self.send("POST", path, json=body, **more)

    def patch(self, path: str, body: Any, **more: Any) -> requests.Response:
        return self.send("PATCH", path, json=body, **more)

    def list(self, *filters: tuple[str, str, list[str]], **params: Any) -> requests.Response:
        conditions = [{name: {"operator": operator, "values": values}} for name, operator, values in filters]
        return self.get("/work_packages", params={"filters": json.dumps(conditions), **params})

    def page(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=20)


def running(standin: OpenProjectStandIn) -> Iterator[Tracker]:
    server = RunningServer(mounted(openproject=standin))
    yield Tracker(standin, f"{server.url}/openproject")
    server.close()


def ids(response: requests.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()["_embedded"]["elements"]]


def error(response: requests.Response) -> tuple[int, str]:
    """Return status and error identifier, after checking that the body is an error document."""
    body = response.json()
    assert body["_type"] == "Error"
    assert response.headers["Content-Type"] == "application/hal+json; charset=utf-8"
    return response.status_code, body["errorIdentifier"].removeprefix(URN)


def attribute(response: requests.Response) -> str:
    return response.json()["_embedded"]["details"]["attribute"]


def link(namespace: str, number: object) -> dict[str, str]:
    return {"href": f"/api/v3/{namespace}/{number}"}
