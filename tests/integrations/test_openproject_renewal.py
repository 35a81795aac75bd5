"""A kept list is renewed with few rows, and shows the same as one that is read in full."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from driven_time import DrivenTime
from openproject_tracker import LIST, Tracker, error, tracker_fixture
from werkzeug.wrappers import Request, Response

from panel.connector import SourceConfig
from panel.connector.limiter import Limiter
from panel.core.domain import Item, State
from panel.sandbox.standin import Recorded
from panel.traffic.limits_sql import SqlLimitStore, ephemeral_engine

TTL_S, REREAD_S = 5.0, 60.0

tracker = tracker_fixture("17", "16", "15", "12")
recent = tracker_fixture("17")


@dataclass
class Poller:
    """Someone who asks for one list again and again."""

    tracker: Tracker
    time: DrivenTime
    numbers: list[str]
    source: SourceConfig

    def poll(self, after: float = 10) -> tuple[Mapping[str, Item], list[str]]:
        """The items ``after`` some seconds, and the questions that they took."""
        self.time.pass_by(after)
        with self.tracker.standin.counting() as seen, self.tracker.open(self.source) as upstream:
            items = self.tracker.leaf.fetch_many(upstream, self.numbers)
        return items, [question for one in seen if (question := question_of(one))]

    def in_full(self) -> Mapping[str, Item]:
        self.tracker.revision += 1
        with self.tracker.open(replace(self.source, id="other", revision=self.tracker.revision)) as upstream:
            return self.tracker.leaf.fetch_many(upstream, self.numbers)


def question_of(request: Recorded) -> str:
    """``changes?`` of some, or ``read`` and how many are asked for; empty for anything but a list."""
    if not request.path.endswith(LIST):
        return ""
    filters = json.loads(dict(request.params)["filters"])
    kind = "changes?" if len(filters) == 2 else "read"
    return f"{kind} {len(filters[0]['id']['values'])}"


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> DrivenTime:
    return DrivenTime(monkeypatch)


def poller_of(tracker: Tracker, driven: DrivenTime, folder: Path, count: int = 50) -> Poller:
    """A poller whose list was made long ago and has been read once."""
    driven.follow(tracker.standin)
    numbers = [str(number) for number in tracker.standin.add_many(count, 1)]
    tracker.connector.cache_ttl_s, tracker.connector.reread_s = TTL_S, REREAD_S
    tracker.connector.limiter = Limiter(SqlLimitStore(lambda: ephemeral_engine(folder / "traffic.sqlite3")))
    poller = Poller(tracker, driven, numbers, tracker.source())
    assert poller.poll(after=100)[1] == [f"read {count}"]
    return poller


@pytest.fixture
def poller(tracker: Tracker, driven: DrivenTime, tmp_path: Path) -> Poller:
    return poller_of(tracker, driven, tmp_path)


@pytest.fixture
def recent_poller(recent: Tracker, driven: DrivenTime, tmp_path: Path) -> Poller:
    return poller_of(recent, driven, tmp_path)


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_an_unchanged_list_takes_one_question_without_rows(poller: Poller) -> None:
    before = poller.in_full()
    items, asked = poller.poll()

    assert asked == ["changes? 50"]
    assert items == before


def test_within_the_time_of_the_cache_nothing_is_asked(poller: Poller) -> None:
    assert poller.poll(after=4)[1] == []


@pytest.mark.parametrize("changed", [1, 2, 49])
def test_only_what_changed_is_read_again(poller: Poller, changed: int) -> None:
    for number in poller.numbers[:changed]:
        poller.tracker.standin.touch(int(number), subject=f"New {number}")
    items, asked = poller.poll()

    assert asked == ["changes? 50", f"read {changed}"]
    assert [item.title for item in items.values()][:changed] == [f"New {number}" for number in poller.numbers[:changed]]
    assert items == poller.in_full()


def test_a_change_is_not_read_again_for_ever(recent_poller: Poller) -> None:
    recent_poller.tracker.standin.touch(int(recent_poller.numbers[0]))
    asked = [recent_poller.poll()[1] for _ in range(3)]

    assert asked == [["changes? 50", "read 1"], ["changes? 50", "read 1"], ["changes? 50"]]


def change_all(poller: Poller) -> None:
    [poller.tracker.standin.touch(int(number), subject="New") for number in poller.numbers]


def delete_one(poller: Poller) -> None:
    poller.tracker.standin.remove_work_package(int(poller.numbers[7]))


def hide_one(poller: Poller) -> None:
    poller.tracker.standin.hide(int(poller.numbers[7]))


def take_right_away(poller: Poller) -> None:
    poller.tracker.standin.hide(int(poller.numbers[7]))
    poller.tracker.standin.touch(int(poller.numbers[7]), updated_at=poller.tracker.standin.world.clock())


def let_the_clock_go_back(poller: Poller) -> None:
    """Someone makes a change that seems to be older than the list."""
    poller.time.follow(poller.tracker.standin, behind=3600)
    moment = poller.tracker.standin.world.clock()
    poller.tracker.standin.touch(int(poller.numbers[7]), subject="New", updated_at=moment)


def refuse_select(poller: Poller) -> None:
    """A server that does not know this ``select``."""
    only_lists_with(poller, "select", 400, error("InvalidSignal"))
    poller.tracker.standin.touch(int(poller.numbers[7]), subject="New")


def refuse_long_addresses(poller: Poller) -> None:
    """A proxy that lets the address of the list pass, and not that of the question."""
    only_lists_with(poller, "select", 414, "<h1>Too long</h1>", kind="text/html")
    poller.tracker.standin.touch(int(poller.numbers[7]), subject="New")


def fail_at_the_question(poller: Poller) -> None:
    only_lists_with(poller, "select", 500, "<h1>Error</h1>", kind="text/html")
    poller.tracker.standin.touch(int(poller.numbers[7]), subject="New")


def answer_with_others(poller: Poller) -> None:
    body = {"total": 1, "_embedded": {"elements": [{"id": 101}]}}
    only_lists_with(poller, "select", 200, body)
    poller.tracker.standin.touch(int(poller.numbers[7]), subject="New")


def change_ourselves(poller: Poller) -> None:
    with poller.tracker.open(poller.source) as upstream:
        poller.tracker.leaf.update(upstream, poller.numbers[7], {"subject": "New"})


def only_lists_with(poller: Poller, parameter: str, status: int, body: Any, kind: str = "application/hal+json") -> None:
    real = poller.tracker.standin.answer
    data = body if isinstance(body, str) else json.dumps(body)

    def answer(request: Request) -> Response:
        if request.path == LIST and parameter in request.args:
            return Response(data, status, content_type=kind)
        return real(request)

    poller.tracker.standin.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("happens", "question"),
    [
        (change_all, ["changes? 50"]),
        (delete_one, ["changes? 50"]),
        (hide_one, ["changes? 50"]),
        (take_right_away, ["changes? 50"]),
        (let_the_clock_go_back, ["changes? 50"]),
        (refuse_select, ["changes? 50"]),
        (refuse_long_addresses, ["changes? 50"]),
        (fail_at_the_question, ["changes? 50"]),
        (answer_with_others, ["changes? 50"]),
        (change_ourselves, []),
    ],
)
def test_in_doubt_the_whole_list_is_read(
    poller: Poller, happens: Callable[[Poller], None], question: list[str]
) -> None:
    happens(poller)
    items, asked = poller.poll()

    assert asked[: len(question) + 1] == [*question, "read 50"]
    assert items == poller.in_full()
    assert items[poller.numbers[7]].title == "New" or items[poller.numbers[7]].state is State.GONE


def test_without_a_date_every_list_is_read_in_full(tracker: Tracker, driven: DrivenTime, tmp_path: Path) -> None:
    tracker.standin.removed_headers = frozenset({"Date"})
    poller = poller_of(tracker, driven, tmp_path)

    assert [poller.poll()[1] for _ in range(3)] == [["read 50"]] * 3


@pytest.mark.parametrize("date", ["yesterday", "Mon, 30 Nov 2026 12:00:00 GMT, Mon, 30 Nov 2026 12:00:05 GMT"])
def test_neither_is_a_date_that_says_nothing_clear(
    recent: Tracker, driven: DrivenTime, tmp_path: Path, date: str
) -> None:
    def finish(request: Request, response: Response) -> Response:
        response.headers["Date"] = date
        return response

    recent.standin.finish = finish
    poller = poller_of(recent, driven, tmp_path)

    assert poller.poll()[1] == ["read 50"]


def test_a_date_that_stops_coming_ends_it(recent_poller: Poller) -> None:
    recent_poller.poll()
    recent_poller.tracker.standin.removed_headers = frozenset({"Date"})

    assert [recent_poller.poll()[1] for _ in range(3)] == [["changes? 50", "read 50"], ["read 50"], ["read 50"]]


def test_a_refused_question_rests_for_a_while(recent_poller: Poller) -> None:
    refuse_select(recent_poller)

    asked = [recent_poller.poll()[1] for _ in range(5)]
    assert asked == [["changes? 50", "read 50"], ["read 50"], ["read 50"], ["changes? 50", "read 50"], ["read 50"]]


def test_what_is_gone_does_not_keep_the_others_from_being_renewed(recent_poller: Poller) -> None:
    delete_one(recent_poller)
    recent_poller.poll()
    recent_poller.poll(after=35)
    items, asked = recent_poller.poll()

    assert asked == ["read 50", "read 1", "changes? 49"]
    assert items == recent_poller.in_full()


def test_what_is_shown_again_is_seen_at_the_first_poll(recent_poller: Poller) -> None:
    shown = recent_poller.tracker.standin.world.work_packages[int(recent_poller.numbers[7])]
    hide_one(recent_poller)
    recent_poller.poll()
    recent_poller.poll(after=35)
    recent_poller.tracker.standin.touch(shown.id, project_id=shown.project_id, updated_at=shown.updated_at)

    assert recent_poller.poll()[0][recent_poller.numbers[7]].state is State.LIVE


# --- for how long ----------------------------------------------------------------------------------------------------


def test_the_whole_list_is_read_again_after_its_age(recent_poller: Poller) -> None:
    asked = [recent_poller.poll()[1] for _ in range(12)]

    assert asked == [["changes? 50"]] * 5 + [["read 50"]] + [["changes? 50"]] * 5 + [["read 50"]]


@pytest.mark.parametrize("every", [1, 7, 19, 29.9])
def test_a_renamed_person_is_never_shown_with_the_old_name_for_longer(recent_poller: Poller, every: float) -> None:
    world = recent_poller.tracker.standin.world
    for number in recent_poller.numbers:
        recent_poller.tracker.standin.touch(int(number), assignee_id=5)
    recent_poller.poll(after=100)
    world.add(replace(world.principals[5], name="Una User"))
    waited = 0.0
    while waited <= REREAD_S:
        items, _ = recent_poller.poll(after=every)
        waited += every

    assert {item.facts["assignee"] for item in items.values()} == {"Una User"}


def test_a_renewed_list_is_not_kept_beyond_its_age(recent_poller: Poller) -> None:
    recent_poller.tracker.connector.cache_ttl_s = 50
    recent_poller.poll(after=100)

    assert [recent_poller.poll(after=seconds)[1] for seconds in (55, 10)] == [["changes? 50"], ["read 50"]]


def test_it_can_be_switched_off(recent_poller: Poller) -> None:
    recent_poller.tracker.connector.reread_s = 0
    recent_poller.poll(after=100)

    assert [recent_poller.poll()[1] for _ in range(2)] == [["read 50"]] * 2


def test_without_a_cache_nothing_is_kept(recent_poller: Poller) -> None:
    recent_poller.tracker.connector.cache_ttl_s = 0
    recent_poller.poll(after=100)

    assert [recent_poller.poll(after=0)[1] for _ in range(2)] == [["read 50"]] * 2


def test_who_asks_past_the_caches_gets_the_whole(recent_poller: Poller) -> None:
    recent_poller.time.pass_by(10)
    upstream = recent_poller.tracker.open(recent_poller.source)
    upstream.fresh = True
    with recent_poller.tracker.standin.counting() as seen:
        recent_poller.tracker.leaf.fetch_many(upstream, recent_poller.numbers)

    assert question_of(seen[0]) == "read 50"


# --- rights ----------------------------------------------------------------------------------------------------------


def test_a_source_that_was_saved_with_another_account_shows_what_that_one_sees(recent_poller: Poller) -> None:
    see_beta_only(recent_poller.tracker, 6)
    items = replace(recent_poller, source=recent_poller.tracker.source("V")).poll()[0]

    assert {item.state for item in items.values()} == {State.GONE}


def test_two_accounts_never_see_with_the_eyes_of_the_other(recent: Tracker, driven: DrivenTime, tmp_path: Path) -> None:
    see_beta_only(recent, 5, 6)
    world, chance = recent.standin.world, random.Random(14)
    world.join(5, 1)
    one = poller_of(recent, driven, tmp_path, 12)
    two = replace(one, source=replace(recent.source("V"), id="2"))
    changes: list[Callable[[int, int], object]] = [
        world.share,
        lambda account, number: world.shares.pop((account, number), None),
        lambda account, _: world.join(account, 1),
        lambda account, _: world.memberships.pop((account, 1), None),
    ]
    for _ in range(60):
        chance.choice(changes)(chance.choice([5, 6]), int(chance.choice(one.numbers)))
        for each in (one, two):
            assert states(each.poll(after=6)[0]) == states(each.in_full())


def see_beta_only(tracker: Tracker, *accounts: int) -> None:
    for account in accounts:
        tracker.standin.world.memberships.pop((account, 1), None)
        tracker.standin.world.join(account, 2)


def states(items: Mapping[str, Item]) -> dict[str, State]:
    return {number: item.state for number, item in items.items()}


# --- whatever happens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_the_list_is_that_of_a_full_read(
    recent: Tracker, driven: DrivenTime, tmp_path: Path, seed: int
) -> None:
    poller, chance = poller_of(recent, driven, tmp_path, 20), random.Random(seed)
    standin, renewals = recent.standin, 0
    deeds: list[Callable[[int], object]] = [
        lambda number: standin.touch(number, subject=f"Subject {chance.random()}"),
        lambda number: standin.touch(number, status_id=chance.choice(list(standin.world.statuses))),
        lambda number: standin.touch(number, assignee_id=chance.choice([5, 6, None])),
        lambda number: standin.touch(number, project_id=1),
        standin.hide,
    ]
    for _ in range(40):
        for _ in range(chance.choice([0, 0, 1, 1, 3])):
            chance.choices(deeds, [9, 9, 9, 9, 1])[0](int(chance.choice(poller.numbers)))
            driven.pass_by(chance.uniform(0, 3))
        items, asked = poller.poll(after=chance.uniform(5, 20))
        renewals += any(question.startswith("changes?") for question in asked)

        assert items == poller.in_full()
    assert renewals > 10


def test_a_change_in_a_transaction_that_ends_late_is_seen(recent_poller: Poller) -> None:
    """Its time is that of its beginning, before the list was read."""
    world = recent_poller.tracker.standin.world
    begun = world.clock() - timedelta(seconds=8)
    recent_poller.tracker.standin.touch(int(recent_poller.numbers[7]), subject="New", updated_at=begun)

    assert recent_poller.poll()[0][recent_poller.numbers[7]].title == "New"
