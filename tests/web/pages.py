"""A browser without scripts: what stands in a page's form, and sending it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self._area: str | None = None
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._open = given.get("id") == "source-form" if tag == "form" else self._open
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "input" and self._open and given.get("name"):
            choice = given.get("type") in ("radio", "checkbox")
            if not choice or "checked" in given:
                self.fields[given["name"]] = given.get("value", "on" if choice else "")
        if tag == "textarea" and self._open:
            self._area = given["name"]
            self.fields[self._area] = ""

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.fields[self._area] += data


def source_form(page: TestResponse) -> dict[str, str]:
    """What a browser would send back of the source form, untouched."""
    reader = _Reader()
    reader.feed(page.text)
    return reader.fields


def links(page: TestResponse) -> list[str]:
    reader = _Reader()
    reader.feed(page.text)
    return reader.links


def csrf(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def post(client: FlaskClient, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
    """POST as a page of ours would, with the token of this session."""
    token = csrf(client.get("/admin/password", follow_redirects=True))
    return client.post(path, data={"csrf_token": token, **(data or {})}, **options)


def fill(client: FlaskClient, path: str, action: str = "save", /, **typed: str) -> TestResponse:
    """Open a source form, type over some fields (``__`` stands for a dot, None of them is cleared) and send it."""
    values = {name.replace("__", "."): value for name, value in typed.items()}
    return client.post(path, data={**source_form(client.get(path)), **values, "do": action})


class Behind:
    """The services behind the pages, each call in a context of its own: requests must not share what they remember."""

    def __init__(self, app: Flask, target: Any = None) -> None:
        self._app = app
        self._target = target or app.extensions["leafpanel"]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return Behind(self._app, found)

        def call(*args: Any, **options: Any) -> Any:
            with self._app.app_context():
                return found(*args, **options)

        return call
