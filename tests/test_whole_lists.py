"""Lists that are sorted, filtered and counted over all linked items, and what they cost upstream."""

from __future__ import annotations

from datetime import date

import pytest
from flask import Flask
from support import CASE, Upstreams
from web.tab_reader import get, leaf

from panel.core.domain import State
from panel.links import whole_lists
from panel.links.arrangement import ListQuery, Standing
from panel.links.service import Links
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import Link

TODAY = date(2026, 11, 30)


@pytest.fixture
def links(connected: Flask, services: Panel) -> Links:
    return services.links


def store(*references: str, integration: str = "openproject") -> None:
    """Pointers, the last one the newest."""
    place = {"register": CASE.register, "schema": CASE.schema, "object_id": CASE.object_id, "linked_by": "alice"}
    for reference in references:
        db.session.add(Link(integration=integration, reference=reference, **place))
    db.session.commit()


def test_an_order_of_the_upstream_runs_over_all_pages(links: Links, visitor: Visitor, upstreams: Upstreams) -> None:
    tracker = upstreams.openproject
    numbers = [tracker.add_work_package(f"Dated {day}", 1, due_date=date(2026, 11, day)).id for day in range(1, 31)]
    store(*map(str, reversed(numbers)))

    seen: list[str] = []
    for page in (1, 2, 3):
        query = ListQuery("due", page=page)
        listing = links.whole_list(visitor, "openproject", CASE, query, TODAY, limit=10).listing
        seen += [row.pointer.reference for row in listing.rows]

    assert seen == [str(number) for number in numbers]


def test_counts_are_of_the_whole_list(links: Links, visitor: Visitor, upstreams: Upstreams) -> None:
    numbers = upstreams.openproject.add_many(12, 1, due_date=date(2026, 11, 1))
    upstreams.openproject.hide(numbers[0])
    store(*map(str, numbers))

    whole = links.whole_list(visitor, "openproject", CASE, ListQuery(), TODAY, limit=5)

    assert whole.arranged is not None
    tally = whole.arranged.tally
    assert (tally.of(Standing.OPEN), tally.of(Standing.OVERDUE), tally.of(Standing.GONE)) == (11, 11, 1)
    assert whole.listing.total == 12


@pytest.mark.parametrize(("count", "calls"), [(50, 1), (62, 1), (300, 3)])
def test_a_list_of_work_packages_takes_one_call_for_each_hundred(
    links: Links, visitor: Visitor, upstreams: Upstreams, count: int, calls: int
) -> None:
    store(*map(str, upstreams.openproject.add_many(count, 1)))
    with upstreams.openproject.counting() as asked:
        links.whole_list(visitor, "openproject", CASE, ListQuery("due"), TODAY)

    assert len([one for one in asked if "/work_packages" in one.path]) == calls


def test_more_links_than_the_bound_are_cut_and_it_is_said(
    links: Links, visitor: Visitor, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_lists, "MOST_ARRANGED", 10)
    numbers = upstreams.openproject.add_many(12, 1)
    store(*map(str, numbers))

    sorted_list = links.whole_list(visitor, "openproject", CASE, ListQuery("title"), TODAY, limit=5)
    stored = links.whole_list(visitor, "openproject", CASE, ListQuery(page=3), TODAY, limit=5)

    assert (sorted_list.is_cut, sorted_list.matching, sorted_list.listing.total) == (True, 10, 12)
    assert [row.pointer.reference for row in stored.listing.rows] == [str(number) for number in reversed(numbers[:2])]
    assert stored.arranged is None


def test_a_page_is_shown_when_all_items_take_too_long(links: Links, visitor: Visitor, upstreams: Upstreams) -> None:
    store(*map(str, upstreams.openproject.add_many(120, 1)))
    upstreams.openproject.load.per_work_package_s = 0.02

    whole = links.whole_list(visitor, "openproject", CASE, ListQuery("due", page=2), TODAY, limit=10, deadline_s=1)

    assert (whole.arranged, whole.listing.problem, whole.listing.page) == (None, None, 2)
    assert {row.item.state for row in whole.listing.rows if row.item} == {State.LIVE}


def test_the_references_are_listed_page_by_page_while_the_upstream_is_down(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    store(*map(str, upstreams.openproject.add_many(12, 1)))
    upstreams.openproject.fault = "server-error"

    whole = links.whole_list(visitor, "openproject", CASE, ListQuery("due", page=9), TODAY, limit=5)

    assert whole.listing.problem is not None
    assert (whole.listing.page, len(whole.listing.rows)) == (3, 2)


def test_a_filter_stays_in_every_address_of_the_page(as_admin, connected: Flask, upstreams: Upstreams) -> None:  # type: ignore[no-untyped-def]
    with connected.app_context():
        store(*map(str, upstreams.openproject.add_many(12, 1, subject="Bridge {n}")), "102")

    page = get(as_admin, leaf("openproject", "?find=bridge&state=open&sort=title"))

    assert page.texts(".lp-matching span") == ["1–12 of 12"]
    addresses = [*page.hrefs("#lp-refresh"), *(form.attributes["action"] or "" for form in page.all(".lp-question"))]
    assert len(addresses) == 13
    assert all("find=bridge" in one and "state=open" in one and "sort=title" in one for one in addresses)
