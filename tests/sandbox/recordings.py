"""Recorded answers of real servers, and the comparison of a stand-in's answers with them.

A recording is a file in ``tests/recorded/`` with one request per line: its name, the account (``as``) if it is not
the panel's own, the request with placeholders such as ``{wp}``, and what the answer has in common on every instance:
status, headers, error identifier, attribute and the tree of keys. In a tree, ``[]`` stands for the elements of a list,
``*`` for content that was not recorded, and the name of an earlier line for the same tree. Values are not part of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "recorded"

UNIMPORTANT = re.compile(
    r"_links/\w+(/\[\])?/title$"  # an empty link has a title or has none
    r"|/_dependencies|/_attributeGroups|/favorited$"
    r"|_embedded/assignee$"  # depends on the work package
    r"|elements/\[\]/(date|startDate|dueDate|duration|derivedStartDate|derivedDueDate)$"  # depends on the type
)
"""Paths of keys that depend on the content of an instance and not on its version."""


@dataclass(frozen=True)
class Recording:
    name: str
    account: str
    """Empty for the panel's own account."""
    is_open: bool
    """Recorded while the server was open to everybody."""
    request: Mapping[str, Any]
    status: int
    headers: Mapping[str, str]
    present: tuple[str, ...]
    """Headers that are there with any value, out of ``etag`` and ``link``."""
    error: str | None
    attribute: str | None
    tree: Any
    """``None`` for an answer that is no JSON."""


@dataclass(frozen=True)
class Answer:
    """An answer of the stand-in. ``body`` is parsed JSON, or text."""

    status: int
    headers: Mapping[str, str]
    body: Any


@cache
def read(name: str) -> tuple[Recording, ...]:
    trees: dict[str, Any] = {}
    return tuple(_recording(json.loads(line), trees) for line in (FOLDER / name).read_text("utf-8").splitlines())


def _recording(line: dict[str, Any], trees: dict[str, Any]) -> Recording:
    tree = line.get("keys")
    trees[line["name"]] = trees[tree] if isinstance(tree, str) else tree
    return Recording(
        line["name"], line.get("as", ""), line.get("open", False), line["request"], line["status"], line["headers"],
        tuple(line["present"]), line.get("error"), line.get("attribute"), trees[line["name"]],
    )  # fmt: skip


def filled(template: Any, values: Mapping[str, object]) -> Any:
    """Replace the placeholders of a request; ``{lock}!`` becomes a number. Raises KeyError for an unknown one."""
    if isinstance(template, Mapping):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    number = re.fullmatch(r"\{(\w+)\}!", template)
    return values[number[1]] if number else re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), template)


def differences(real: Recording, answer: Answer) -> list[str]:
    """Return one sentence for each deviation. A key that only the real server has is none."""
    found = [
        f"{fact} is {ours!r}, recorded {theirs!r}"
        for fact, ours, theirs in (
            ("status", answer.status, real.status),
            ("headers", _compared_headers(answer.headers), dict(real.headers)),
            ("present", _present(answer.headers), real.present),
            ("error", _error(answer.body), real.error),
            ("attribute", _attribute(answer.body), real.attribute),
            ("JSON", isinstance(answer.body, dict), real.tree is not None),
        )
        if ours != theirs
    ]
    extra = sorted(_extra(answer.body, real.tree)) if answer.status == real.status and real.tree is not None else []
    return found + [f"the real server has no key {path}" for path in extra]


def _compared_headers(headers: Mapping[str, str]) -> dict[str, str]:
    names = ("content-type", "cache-control", "www-authenticate")
    compared = {name: headers[name] for name in names if name in headers}
    compared["content-type"] = compared.get("content-type", "").partition(";")[0]
    if "www-authenticate" in compared:
        compared["www-authenticate"] = re.sub(
            'resource_metadata="[^"]*"', 'resource_metadata="…"', compared["www-authenticate"]
        )
    return compared


def _present(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in ("etag", "link") if name in headers)


def _error(body: Any) -> str | None:
    identifier = body.get("errorIdentifier") if isinstance(body, dict) else None
    return identifier.rpartition(":")[2] if identifier else None


def _attribute(body: Any) -> str | None:
    embedded = body.get("_embedded") if isinstance(body, dict) else None
    details = embedded.get("details", {}) if isinstance(embedded, dict) else {}
    return details.get("attribute") if isinstance(details, dict) else None


def _extra(value: Any, tree: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of keys that the recorded tree does not have, without the keys below them."""
    if tree == "*":
        return
    known = tree if isinstance(tree, dict) else {}
    for key, inner in _children(value):
        at = f"{path}/{key}"
        if key in known or key == "[]":
            yield from _extra(inner, known.get(key), at)
        elif not UNIMPORTANT.search(at):
            yield at


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((re.sub("^customField[0-9]+$", "customFieldN", key), inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from (("[]", inner) for inner in value)
