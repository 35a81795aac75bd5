"""The contract kit, applied to every leaf of the panel; and that the kit notices a leaf that breaks the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import Upstreams, openproject_values, xwiki_values

from panel.connector import Auth, AuthKind, Secret, Upstream
from panel.core.domain import Item, State
from panel.core.errors import ProviderUnavailable
from panel.integrations.openproject.leaf import OpenProject
from panel.integrations.registry import load_registry
from panel.integrations.testing import CHECKS, REASONS, BrokenContract, Check, Subject
from panel.sandbox.standin import FAULTS

REGISTRY = load_registry()

EXAMPLES: dict[str, dict[str, Any]] = {
    "xwiki": {
        "known": "xwiki:Sandbox.TestPage1", "gone": "xwiki:Sandbox.Nowhere",
        "new": {"space": "Sandbox", "title": "A new bridge"},
    },
    "openproject": {"known": "101", "gone": "999", "new": {"projectId": "1", "subject": "A new bridge"}},
}  # fmt: skip
"""What the stand-in of each leaf of the panel holds. A leaf from a package has a test module of its own."""


@pytest.fixture
def make_subject(upstreams: Upstreams) -> Callable[[str], Subject]:
    def make(name: str) -> Subject:
        values = {"xwiki": xwiki_values, "openproject": openproject_values}[name](upstreams)
        auth = Auth(AuthKind.BASIC, values["auth"]["username"], secret=Secret(values["auth"]["password"]))
        return Subject(REGISTRY.get(name), getattr(upstreams, name), values["location"], auth, **EXAMPLES[name])

    return make


def test_every_fault_of_a_stand_in_has_an_expected_reason() -> None:
    assert FAULTS.keys() == REASONS.keys()


@pytest.mark.parametrize("check", CHECKS, ids=str)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_leaf_keeps_the_contract(make_subject: Callable[[str], Subject], name: str, check: Check) -> None:
    check(make_subject(name))


# --- the kit itself --------------------------------------------------------------------------------------------------


class Swallowing(OpenProject):
    """Takes a failure for an empty result."""

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        try:
            return super().fetch_many(upstream, references)
        except ProviderUnavailable:
            return {}


class Forgetting(OpenProject):
    """Leaves out what is gone."""

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        found = super().fetch_many(upstream, references)
        return {reference: item for reference, item in found.items() if item.state is State.LIVE}


class Shouting(OpenProject):
    """Passes on text as the upstream sends it, and outside addresses."""

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        return [replace(item, title=f"{item.title}\x07") for item in super().search(upstream, text, limit=limit)]

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        found = super().fetch_many(upstream, references)
        return {reference: replace(item, url="https://elsewhere.example/") for reference, item in found.items()}


class Remembering(OpenProject):
    """Keeps what it saw, and returns rows that are no JSON."""

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        self.seen = text
        return super().search(upstream, text, limit=limit)

    def row(self, item: Item) -> dict[str, Any]:
        return {**super().row(item), "leaf": self}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Swallowing, "server-error in fetch many"), (Forgetting, "gone beside live"),
        (Forgetting, "every reference is answered"), (Shouting, "texts are plain"),
        (Shouting, "urls stay inside the source"), (Remembering, "no state is kept"),
        (Remembering, "rows have the same keys"),
    ],
)  # fmt: skip
def test_the_kit_notices_a_broken_leaf(
    make_subject: Callable[[str], Subject], kind: type[OpenProject], name: str
) -> None:
    subject = replace(make_subject("openproject"), leaf=kind())
    (check,) = [one for one in CHECKS if one.name == name]

    with pytest.raises(BrokenContract):
        check(subject)


@pytest.mark.parametrize("line", ["{{ line.title|safe }}", "{% autoescape false %}{{ line.title }}{% endautoescape %}"])
def test_the_kit_notices_a_row_template_that_does_not_escape(
    make_subject: Callable[[str], Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    subject = make_subject("openproject")
    (check,) = [one for one in CHECKS if one.name == "the row template escapes"]
    (tmp_path / "row.html").write_text("{% macro row(line) %}" + line + "{% endmacro %}")
    monkeypatch.setattr(type(subject.leaf), "folder", tmp_path)

    with pytest.raises(BrokenContract, match=r"lines \[1\]"):
        check(subject)


def test_a_gone_item_keeps_its_reference() -> None:
    item = Item.gone("7", "https://tracker.example/7")

    assert (item.reference, item.title, item.state) == ("7", "7", State.GONE)
