"""The panel's picker asks for selected rows where OpenProject can select what it shows, and shows the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from driven_time import DrivenTime
from openproject_tracker import LIST, Tracker, error, tracker_fixture

from panel.connector import SourceConfig
from panel.core.domain import Item
from panel.core.errors import ProviderUnavailable
from panel.integrations.openproject.suggestions import REFUSED_S
from panel.web.tab.columns import Columns

tracker = tracker_fixture("17", "16", "15", "12")
recent = tracker_fixture("17")
early = tracker_fixture("16")


def suggested(tracker: Tracker, words: str, source: SourceConfig | None = None) -> tuple[Sequence[Item], list[bool]]:
    """What the picker gets, and for each request whether it was for selected rows."""
    with tracker.standin.counting() as seen, tracker.open(source) as upstream:
        items = tracker.leaf.suggest(upstream, words, limit=10)
    return items, ["select" in dict(one.params) for one in seen]


def shown(tracker: Tracker, items: Sequence[Item]) -> list[Any]:
    columns = Columns(tracker.leaf)
    return [(one.reference, one.title, one.url, columns.number(one), columns.in_search(one)) for one in items]


def add_odd_work_packages(tracker: Tracker) -> None:
    tracker.standin.add_work_package("Bridge <b>&amp;</b> \u202e \U0001f309", 1, status_id=7, assignee_id=5)
    tracker.standin.add_work_package("Bridge to be opened", 1, type_id=2, due_date=date(2026, 12, 1))
    tracker.standin.world.join(5, 2)
    tracker.standin.add_many(12, 2, "Bridge {n}")


@pytest.mark.parametrize("words", ["bridge", "bridge north", "beta", "10", "nothing at all", ""])
@pytest.mark.parametrize("semantic", [False, True])
def test_the_rows_are_those_of_a_search_in_full(tracker: Tracker, words: str, semantic: bool) -> None:
    add_odd_work_packages(tracker)
    tracker.standin.semantic_display_ids = semantic
    with tracker.open() as upstream:
        in_full = tracker.leaf.search(upstream, words, limit=10)

    assert shown(tracker, suggested(tracker, words)[0]) == shown(tracker, in_full)


def test_typed_words_take_one_request_for_selected_rows(recent: Tracker) -> None:
    assert suggested(recent, "bridge")[1] == [True]


def test_the_latest_changes_are_read_in_full_for_their_times(recent: Tracker) -> None:
    items, selected = suggested(recent, "")

    assert selected == [False]
    assert all(item.updated for item in items)


def test_a_server_that_refuses_is_asked_in_full_and_this_is_remembered(early: Tracker, driven: DrivenTime) -> None:
    source = early.source()
    asked = [suggested(early, words, source)[1] for words in ("bridge", "old", "gate")]
    driven.pass_by(REFUSED_S)
    later = suggested(early, "tunnel", source)[1]

    assert asked == [[True, False], [False], [False]]
    assert later == [True, False]


def test_saving_the_source_forgets_it(early: Tracker) -> None:
    suggested(early, "bridge", early.source())

    assert suggested(early, "bridge", early.source())[1] == [True, False]


def test_one_source_says_nothing_about_another(recent: Tracker) -> None:
    source = recent.source()
    recent.standin.behave_like("16")
    suggested(recent, "bridge", source)
    recent.standin.behave_like("17")

    assert suggested(recent, "bridge", replace(source, id="2"))[1] == [True]


def test_another_refusal_is_a_failure(recent: Tracker) -> None:
    recent.reply(400, error("InvalidQuery"), path=LIST)

    with pytest.raises(ProviderUnavailable, match="InvalidQuery"):
        suggested(recent, "bridge")


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> DrivenTime:
    return DrivenTime(monkeypatch)
