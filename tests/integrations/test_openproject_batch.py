"""Lists of work packages whose requests meet something in between: deletions, firewalls, proxies with short limits."""

from __future__ import annotations

import pytest
from openproject_tracker import LIST, Tracker, tracker_fixture
from werkzeug.wrappers import Request, Response

from panel.core.domain import State
from panel.core.errors import ProviderUnavailable

recent = tracker_fixture("17")


def test_a_deletion_between_two_pages_is_no_failure(recent: Tracker) -> None:
    numbers = [str(number) for number in recent.standin.add_many(7, 1)]
    gone, deleted = "999", numbers[0]
    recent.standin.max_page_size = 3
    real = recent.standin.answer

    def answer(request: Request) -> Response:
        response = real(request)
        is_second_page = "valid_subset" in request.args and request.args.get("offset") == "1"
        if is_second_page and int(deleted) in recent.standin.world.work_packages:
            recent.standin.remove_work_package(int(deleted))
        return response

    recent.standin.answer = answer  # type: ignore[method-assign]
    with recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, [*numbers, gone])

    assert {number for number, item in items.items() if item.state is State.GONE} == {deleted, gone}


def refuse_more_than(tracker: Tracker, most: int, status: int) -> None:
    """Answer as a proxy does whose limit is reached by the address of more than ``most`` numbers."""
    real = tracker.standin.answer

    def answer(request: Request) -> Response:
        if request.path == LIST and request.args.get("filters", "").count('",') > most:
            return Response("<h1>No</h1>", status, content_type="text/html")
        return real(request)

    tracker.standin.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize("status", [403, 414, 431])
@pytest.mark.parametrize(("most", "calls"), [(60, 3), (30, 6), (12, 12)])
def test_a_refused_long_address_leads_to_shorter_ones(recent: Tracker, most: int, calls: int, status: int) -> None:
    numbers = [str(number) for number in recent.standin.add_many(100, 1)]
    refuse_more_than(recent, most, status)

    with recent.standin.counting() as seen, recent.open() as upstream:
        items = recent.leaf.fetch_many(upstream, numbers)

    assert {item.state for item in items.values()} == {State.LIVE}
    assert len([one for one in seen if one.path.endswith(LIST)]) == calls


def test_the_tries_with_shorter_addresses_end(recent: Tracker) -> None:
    numbers = [str(number) for number in recent.standin.add_many(100, 1)]
    refuse_more_than(recent, 0, 414)

    with recent.standin.counting() as seen, recent.open() as upstream, pytest.raises(ProviderUnavailable):
        recent.leaf.fetch_many(upstream, numbers)

    assert len(seen) == 4


def test_a_refused_size_is_not_tried_again_by_the_next_list(recent: Tracker) -> None:
    numbers = [str(number) for number in recent.standin.add_many(100, 1)]
    refuse_more_than(recent, 60, 414)
    source, counts = recent.source(), []

    for _ in range(2):
        with recent.standin.counting() as seen, recent.open(source) as upstream:
            recent.leaf.fetch_many(upstream, numbers)
        counts.append([one.status for one in seen if one.path.endswith(LIST)])

    assert counts == [[414, 200, 200], [200, 200]]
