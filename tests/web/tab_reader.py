"""The tab as a browser without scripts sees it: its texts, its forms, and sending them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from selectolax.lexbor import LexborHTMLParser, LexborNode
from werkzeug.test import TestResponse

TAB = "/objects/demo/case/1"
HTMX = {"HX-Request": "true"}


def leaf(integration: str, rest: str = "") -> str:
    return f"{TAB}/integrations/{integration}{rest}"


@dataclass
class Seen:
    """One answer, read."""

    answer: TestResponse

    def __post_init__(self) -> None:
        self.html = LexborHTMLParser(self.answer.text)

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def text(self) -> str:
        return words(self.html.body) if self.html.body else ""

    def find(self, selector: str) -> LexborNode:
        found = self.html.css_first(selector)
        assert found is not None, f"no {selector} in {self.answer.text}"
        return found

    def all(self, selector: str) -> list[LexborNode]:
        return self.html.css(selector)

    def texts(self, selector: str) -> list[str]:
        return [words(node) for node in self.all(selector)]

    def hrefs(self, selector: str = "a") -> list[str]:
        return [node.attributes.get("href") or "" for node in self.all(selector)]


def words(node: LexborNode) -> str:
    """The node's text with blanks run together."""
    return " ".join(node.text(separator=" ").split())


def get(client: FlaskClient, path: str, **options: Any) -> Seen:
    return Seen(client.get(path, **options))


def fragment(client: FlaskClient, path: str) -> Seen:
    return get(client, path, headers=HTMX)


def fields_of(form: LexborNode) -> list[tuple[str, str]]:
    """What a browser would send of a form, untouched."""
    found: list[tuple[str, str]] = []
    for node in form.css("input, select, textarea"):
        name, given = node.attributes.get("name"), node.attributes
        if not name or "disabled" in given or (given.get("type") == "checkbox" and "checked" not in given):
            continue
        if node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            found.append((name, (chosen.attributes.get("value") or "") if chosen else ""))
        else:
            found.append((name, node.text() if node.tag == "textarea" else given.get("value") or ""))
    return found


def send(
    client: FlaskClient, page: Seen, selector: str, typed: dict[str, Any] | None = None, *, action: str = "",
    headers: dict[str, str] | None = None,
) -> Seen:  # fmt: skip
    """Fill in a form of the page and submit it. A value may be a list, for several fields of one name."""
    form = page.find(selector)
    assert form.tag == "form"
    typed = typed or {}
    values = [(name, value) for name, value in fields_of(form) if name not in typed]
    for name, value in typed.items():
        values += [(name, one) for one in (value if isinstance(value, list) else [value])]
    target = action or form.attributes.get("action") or ""
    kind = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    if form.attributes.get("method") == "post":
        return Seen(client.post(target, data=urlencode(values), headers=kind))
    return Seen(client.get(f"{target}?{urlencode(values)}", headers=headers))


def follow(client: FlaskClient, seen: Seen) -> Seen:
    """Where a redirect after a form leads."""
    assert seen.status == 303, seen.answer.text
    return get(client, seen.answer.headers["Location"].partition("#")[0])
