"""Filters, orders, counts and pages of a list, compared with a plain model of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from panel.core.domain import Item, Pointer, Row, State
from panel.links.arrangement import NOBODY, ListQuery, Standing, arrange

TODAY = date(2026, 11, 30)
START = datetime(2026, 1, 1, tzinfo=UTC)
SORTS = ("linked", "updated", "title", "due", "status")
NAMES = ("Alice", "bob", None)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows in stored order: the newest pointer first."""
    count = draw(st.integers(0, 25))
    return [draw(row(number)) for number in reversed(range(count))]


@st.composite
def row(draw: st.DrawFn, number: int) -> Row:
    reference = str(number)
    item = Item(
        reference,
        draw(st.sampled_from(("Bridge", "bridge north", "Gate", "Äpfel"))),
        "https://projects.example/1",
        draw(st.sampled_from(State)),
        updated=draw(st.none() | st.integers(0, 5).map(lambda day: START + timedelta(days=day))),
        is_closed=draw(st.sampled_from((True, False, None))),
        due=draw(st.none() | st.integers(-3, 3).map(lambda day: TODAY + timedelta(days=day))),
        facts={"assignee": draw(st.sampled_from(NAMES)), "status": draw(st.sampled_from(("New", "Closed", None)))},
    )
    note = draw(st.sampled_from(("", "see the bridge")))
    return Row(Pointer(reference, "", "alice", START + timedelta(hours=number), note=note), item)


queries = st.builds(
    ListQuery,
    st.sampled_from(SORTS),
    st.sampled_from(("", "bridge", "NORTH bridge", "#1", "new", "nothing")),
    st.none() | st.sampled_from(Standing),
    st.sampled_from(("", "Alice", NOBODY)),
    st.integers(1, 9),
    st.frozensets(st.integers(0, 25).map(str), max_size=3),
)


# --- the model: one sentence of the documentation for each function, in the plainest words ----------------------------


def late(item: Item) -> bool:
    return item.state == "live" and item.is_closed is False and item.due is not None and item.due < TODAY


def stands(item: Item) -> set[str]:
    found = {"moved", "gone"} & {item.state.value}
    if item.state == "live":
        found |= {"closed"} if item.is_closed else {"open"} if item.is_closed is False else set()
    return found | ({"overdue"} if late(item) else set())


def passes(one: Row, query: ListQuery) -> bool:
    item = one.item
    assert item is not None
    texts = [item.title, item.reference, one.pointer.note, item.facts["assignee"], item.facts["status"], item.due]
    text = " ".join(str(part) for part in texts if part).lower()
    found = all(word.lstrip("#") in text for word in query.text.lower().split())
    person = {"": True, NOBODY: item.facts["assignee"] is None}.get(query.person, item.facts["assignee"] == "Alice")
    return one.pointer.reference in query.fresh or (
        found and person and (query.standing is None or query.standing in stands(item))
    )


def value(one: Row, sort: str) -> object:
    item = one.item
    assert item is not None
    status = item.facts["status"]
    values = {
        "linked": one.pointer.linked_at,
        "updated": item.updated,
        "title": item.title.casefold(),
        "due": item.due,
        "status": status.casefold() if status else None,
    }
    return values[sort]


def comes_before(one: Row, other: Row, query: ListQuery) -> bool:
    """Whether the order of the query says that ``one`` stands before ``other``; False if it does not say."""
    for rank in (lambda r: r.pointer.reference not in query.fresh, lambda r: r.item.state == "gone"):
        if rank(one) != rank(other):
            return bool(rank(one) < rank(other))
    mine, theirs = value(one, query.sort), value(other, query.sort)
    if mine is None or theirs is None:
        return mine is not None and theirs is None
    newest = query.sort in ("linked", "updated")
    return bool(mine > theirs if newest else mine < theirs)  # type: ignore[operator]


@settings(max_examples=300, deadline=None)
@given(rows(), queries, st.integers(1, 7))
def test_the_pages_together_are_the_filtered_list_in_order(found: list[Row], query: ListQuery, limit: int) -> None:
    asked = [
        ListQuery(query.sort, query.text, query.standing, query.person, page, query.fresh) for page in range(1, 40)
    ]
    first = arrange(found, asked[0], limit, TODAY, "assignee")
    pages = [first, *(arrange(found, one, limit, TODAY, "assignee") for one in asked[1 : -(-first.matching // limit)])]
    whole = [one for page in pages for one in page.rows]

    assert {one.pointer.reference for one in whole} == {one.pointer.reference for one in found if passes(one, query)}
    assert len(whole) == first.matching
    assert all(len(page.rows) == limit for page in pages[:-1])
    assert not any(comes_before(later, one, query) for at, one in enumerate(whole) for later in whole[at + 1 :])


@settings(max_examples=100, deadline=None)
@given(rows(), queries, st.integers(1, 7))
def test_counts_and_people_are_of_the_whole_list(found: list[Row], query: ListQuery, limit: int) -> None:
    arranged = arrange(found, query, limit, TODAY, "assignee")
    items = [one.item for one in found if one.item is not None]

    for standing in Standing:
        assert arranged.tally.of(standing) == sum(standing.value in stands(item) for item in items)
    assert arranged.tally.counted == len(found)
    assert set(arranged.people) == {str(item.facts["assignee"]) for item in items if item.facts["assignee"]}


@settings(max_examples=100, deadline=None)
@given(rows(), queries, st.integers(1, 7))
def test_a_page_past_the_last_one_is_the_last_one(found: list[Row], query: ListQuery, limit: int) -> None:
    arranged = arrange(found, query, limit, TODAY, "assignee")
    last = max(1, -(-arranged.matching // limit))

    assert arranged.page == min(query.page, last)
    assert bool(arranged.rows) == bool(arranged.matching)
