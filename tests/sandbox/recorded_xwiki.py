"""Recorded answers of real xWiki servers, and what differs when a stand-in answers the same requests.

A recording keeps of each exchange what a client depends on: status, media type, the headers that identify xWiki, the
facts of the body, and the keys that the body has. ``tests/recorded/xwiki.md`` describes the files.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import Client, TestResponse

from panel.sandbox.standin import mounted
from panel.sandbox.xwiki import XWikiStandIn

FOLDER = Path(__file__).parents[1] / "recorded"
RUN = "Recording"
"""The space that a recording fills."""

PLACES = {
    "rest": "/xwiki/rest",
    "wiki": "/xwiki/rest/wikis/xwiki",
    "wikiid": "xwiki",
    "at": f"/xwiki/rest/wikis/xwiki/spaces/Sandbox/spaces/{RUN}",
    "ref": f"Sandbox.{RUN}",
    "last": RUN,
    "denied": "/xwiki/rest/wikis/xwiki/spaces/Personeel/pages/",
}
ACCOUNT, PASSWORD = "leafpanel", "leafpanel-demo"
LOGINS = {
    "": (ACCOUNT, PASSWORD),
    "wrong": (ACCOUNT, "another"),
    "prefixed": (f"XWiki.{ACCOUNT}", PASSWORD),
    "full-reference": (f"xwiki:XWiki.{ACCOUNT}", PASSWORD),
    "capitals": (ACCOUNT.upper(), PASSWORD),
    "viewer": ("viewer", "viewer-demo"),
}
"""Who sends a request: the name in the recording, login and password. ``nobody`` sends none."""

FACTS = (
    "id", "fullName", "space", "name", "title", "rawTitle", "parent", "version", "language", "hidden", "syntax",
    "xwikiAbsoluteUrl", "content", "type", "className", "pageFullName", "pageName", "wiki", "comment", "value",
)  # fmt: skip
MEMBERS = ("searchResults", "pageSummaries", "translations")


@dataclass(frozen=True)
class Answer:
    """What is compared of one answer."""

    status: int
    media: str
    names_user: bool
    names_version: bool
    location: str | None
    facts: Any = None
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Exchange:
    name: str
    sender: str
    request: dict[str, Any]
    answer: Answer

    @property
    def is_read(self) -> bool:
        return self.request["method"] in ("GET", "HEAD")


@cache
def recording(version: str) -> tuple[Exchange, ...]:
    """Return the exchanges recorded from one version, in their order."""
    data = json.loads((FOLDER / f"xwiki-{version}.json").read_text("utf-8"))
    return tuple(
        Exchange(
            one["name"],
            one.get("as", ""),
            one["request"],
            Answer(
                one["status"],
                one.get("media", ""),
                one.get("user", True),
                one.get("version", True),
                one.get("location"),
                one.get("facts"),
                frozenset(data["shapes"][one["shape"]]) if "shape" in one else frozenset(),
            ),
        )
        for one in data["exchanges"]
    )


# --- one answer ------------------------------------------------------------------------------------------------


@dataclass
class Replay:
    """Sends recorded requests to a stand-in in this process, without waiting for its index."""

    standin: XWikiStandIn
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(mounted(xwiki=self.standin), use_cookies=False)

    def send(self, exchange: Exchange, sender: str | None = None) -> Answer:
        """Send the request of an exchange, as its own sender unless another is given."""
        request = _filled(exchange.request)
        query = request.get("query", {})
        address = request["path"]
        if query:
            address += "?" + urlencode(
                list(query.items()) if isinstance(query, dict) else [tuple(one) for one in query]
            )
        headers = {"Accept": "application/json", **_login(exchange.sender if sender is None else sender)}
        body = request.get("body", "").encode() or None
        response = self.client.open(
            address, method=request["method"], headers=headers | request.get("headers", {}), data=body
        )
        return _read(response)


def _filled(template: Any) -> Any:
    if isinstance(template, dict):
        return {key: _filled(value) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value) for value in template]
    return re.sub(r"\{(\w+)\}", lambda match: PLACES.get(match[1], match[0]), template)


def _login(sender: str) -> dict[str, str]:
    if sender not in LOGINS:
        return {}
    return {"Authorization": "Basic " + b64encode(":".join(LOGINS[sender]).encode()).decode()}


def _read(response: TestResponse) -> Answer:
    headers = response.headers
    media = headers.get("Content-Type", "").partition(";")[0]
    body = _without_places(json.loads(response.get_data())) if media == "application/json" and response.data else None
    return Answer(
        response.status_code,
        media,
        bool(headers.get("XWiki-User")),
        "XWiki-Version" in headers,
        _without_places(headers["Location"]) if "Location" in headers else None,
        facts(body) if isinstance(body, dict) else body,
        keys(body),
    )


def _without_places(value: Any) -> Any:
    """Return the same whatever the address of the server and the space of the run."""
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("http://localhost/xwiki", "{base}").replace(RUN, "{last}")
    return value


# --- what is compared ------------------------------------------------------------------------------------------


def facts(body: dict[str, Any]) -> Any:
    """The values that a client reads; of a list the members in the space of the run, whose order is free."""
    for key in MEMBERS:
        if isinstance(body.get(key), list):
            own = [facts(member) for member in body[key] if "{last}" in json.dumps(member)]
            return sorted(own, key=lambda one: json.dumps(one, sort_keys=True))
    found = {key: body[key] for key in FACTS if body.get(key) is not None}
    if "guid" in body:
        # The id of an object contains a random part.
        del found["id"]
    return found | _labels(body) | _objects(body)


def _labels(body: dict[str, Any]) -> dict[str, Any]:
    """The path to a page. The label of the wiki is what its home page is called, which differs between wikis."""
    items = (body.get("hierarchy") or {}).get("items") or []
    labels = [[one["type"], one["label"]] for one in items if one["type"] != "wiki"]
    return {"labels": labels} if labels else {}


def _objects(body: dict[str, Any]) -> dict[str, Any]:
    summaries = (body.get("objects") or {}).get("objectSummaries") or []
    objects = [[one["className"], {each["name"]: each["value"] for each in one["properties"]}] for one in summaries]
    return {"objects": objects} if objects else {}


def keys(value: Any, path: str = "") -> frozenset[str]:
    """All keys at any depth, as paths: ``hierarchy.items[].label``."""
    if isinstance(value, dict):
        inner = [{f"{path}.{key}"} | keys(one, f"{path}.{key}") for key, one in value.items()]
    elif isinstance(value, list):
        inner = [keys(one, f"{path}[]") for one in value]
    else:
        inner = []
    return frozenset().union(*inner)


def differences(real: Answer, ours: Answer) -> list[str]:
    """Say where an answer differs from the recorded one. Keys that only the real server has are no difference."""
    found = [
        f"{name} is {getattr(ours, name)!r}, recorded {getattr(real, name)!r}"
        for name in ("status", "media", "names_user", "names_version", "location")
        if getattr(ours, name) != getattr(real, name)
    ]
    if found or real.media != "application/json":
        return found
    if ours.facts != real.facts:
        found.append(f"facts are {ours.facts!r}, recorded {real.facts!r}")
    if real.keys and ours.keys - real.keys:
        found.append(f"keys that the real server has not: {sorted(ours.keys - real.keys)}")
    return found
