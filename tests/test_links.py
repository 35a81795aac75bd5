"""The service behind every face, against the real stand-ins."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from flask import Flask
from support import ALICE, CASE, Upstreams

from panel.accounts.principal import SCOPES, Action, Limits, Principal
from panel.connector import Caller
from panel.connector.limiter import Breaker
from panel.core.domain import ObjectRef, State
from panel.core.errors import AlreadyLinked, Conflict, Forbidden, InvalidInput, NotFound, ProviderUnavailable
from panel.core.reasons import Reason
from panel.links.service import Links
from panel.links.visitor import Visitor
from panel.services import Panel

OTHER = ObjectRef("demo", "case", "2")


@pytest.fixture
def links(connected: Flask, services: Panel) -> Links:
    return services.links


def test_an_object_without_links_is_empty_once_its_source_proved_readable(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    with upstreams.xwiki.counting() as asked:
        listing = links.listing(visitor, "xwiki", CASE)

    assert (listing.rows, listing.total, listing.problem) == ((), 0, None)
    assert len(asked) == 1


def test_links_a_page_by_its_reference_and_lists_it(links: Links, visitor: Visitor) -> None:
    links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")

    (row,) = links.listing(visitor, "xwiki", CASE).rows
    assert row.item is not None
    assert (row.pointer.reference, row.item.state, row.pointer.linked_by) == (
        "xwiki:Sandbox.TestPage1",
        State.LIVE,
        "alice",
    )


def test_links_of_one_object_are_not_those_of_another(links: Links, visitor: Visitor) -> None:
    links.link(visitor, "openproject", CASE, "101")

    assert links.listing(visitor, "openproject", OTHER).total == 0


@pytest.mark.parametrize("profile", ["16", "18"])
def test_fifty_new_pages_take_at_most_two_calls_a_list_also_with_dead_ones(
    links: Links, visitor: Visitor, upstreams: Upstreams, profile: str
) -> None:
    wiki = upstreams.xwiki
    wiki.behave_like(profile)
    names = [*(f"Sandbox.Just made {number}" for number in range(49)), "Sandbox.it's new"]
    for name in names:
        wiki.add_page(name)
        links.link(visitor, "xwiki", CASE, f"xwiki:{name}")

    def listed() -> tuple[int, int]:
        with wiki.counting() as seen:
            rows = links.listing(visitor, "xwiki", CASE).rows
        return len(seen), len([row for row in rows if row.item and row.item.state is State.LIVE])

    before = [listed() for _ in range(3)]
    for name in names[:10]:
        wiki.remove_page(name)
    wiki.index()
    _, *after = [listed() for _ in range(4)]

    assert {live for _, live in before} == {50}
    assert {live for _, live in after} == {40}
    assert max(calls for calls, _ in [*before, *after]) <= 2


@pytest.mark.parametrize("count", [1, 2, 6])
def test_ten_lists_are_right_and_quick_while_the_index_hangs(
    links: Links, visitor: Visitor, services: Panel, upstreams: Upstreams, count: int
) -> None:
    upstreams.xwiki.behave_like("18")
    for number in range(count):
        upstreams.xwiki.add_page(f"Sandbox.Many{number}")
        links.link(visitor, "xwiki", CASE, f"xwiki:Sandbox.Many{number}")
    upstreams.xwiki.hang_index(6)

    took = []
    for _ in range(10):
        started = time.monotonic()
        rows = links.listing(visitor, "xwiki", CASE).rows
        took.append(time.monotonic() - started)
        assert [row.item.state for row in rows if row.item] == [State.LIVE] * count

    assert took[0] < 2.5
    assert max(took[1:]) < 1.5
    assert links.item(visitor, "xwiki", CASE, "xwiki:Sandbox.Many0").item is not None
    (traffic,) = services.sources.traffic([source for source in services.sources.all() if source.slug == "xwiki"])
    assert traffic.breaker is Breaker.CLOSED


def test_the_same_thing_is_linked_once_whatever_its_spelling(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    links.link(visitor, "openproject", CASE, "101")

    with pytest.raises(AlreadyLinked):
        links.link(visitor, "openproject", CASE, f"{upstreams.openproject_url}/projects/1/work_packages/101/activity")
    assert links.listing(visitor, "openproject", CASE).total == 1


def test_linking_at_the_same_moment_makes_one_pointer(connected: Flask, visitor: Visitor) -> None:
    outcomes: list[str] = []

    def link() -> None:
        with connected.app_context():
            try:
                connected.extensions["leafpanel"].links.link(visitor, "openproject", CASE, "101")
                outcomes.append("linked")
            except AlreadyLinked:
                outcomes.append("refused")

    threads = [threading.Thread(target=link) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]

    assert sorted(outcomes) == ["linked"] + ["refused"] * 7


def test_nothing_is_written_when_the_upstream_does_not_show_the_thing(links: Links, visitor: Visitor) -> None:
    with pytest.raises(NotFound):
        links.link(visitor, "openproject", CASE, "999")

    assert links.listing(visitor, "openproject", CASE).total == 0


def test_a_listing_keeps_its_pointers_when_the_upstream_is_down(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")
    upstreams.xwiki.fault = "server-error"

    listing = links.listing(visitor, "xwiki", CASE)

    assert listing.problem is not None
    assert listing.problem.reason is Reason.SERVER_ERROR
    (row,) = listing.rows
    assert (row.item, row.pointer.url) == (None, f"{upstreams.xwiki_url}/bin/view/Sandbox/TestPage1")


def test_unlinking_needs_no_upstream_and_changes_nothing_there(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    links.link(visitor, "openproject", CASE, "101")
    upstreams.openproject.fault = "server-error"

    with upstreams.openproject.counting() as asked:
        links.unlink(visitor, "openproject", CASE, "101")

    upstreams.openproject.fault = None
    assert (asked, links.listing(visitor, "openproject", CASE).total) == ([], 0)


def test_create_makes_the_thing_and_the_pointer(links: Links, visitor: Visitor) -> None:
    row = links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": "Ask for advice"})

    (listed,) = links.listing(visitor, "openproject", CASE).rows
    assert row.item is not None
    assert (listed.pointer.reference, row.item.title) == (row.pointer.reference, "Ask for advice")


def test_a_repeated_create_with_the_same_key_answers_with_the_same_thing(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    values = {"projectId": "1", "subject": "Once"}
    first = links.create(visitor, "openproject", CASE, values, key="k1")

    with upstreams.openproject.counting() as asked:
        second = links.create(visitor, "openproject", CASE, values, key="k1")

    assert second.pointer.reference == first.pointer.reference
    assert [request.method for request in asked if request.method == "POST"] == []


def test_a_key_used_for_another_request_is_refused(links: Links, visitor: Visitor) -> None:
    links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": "One"}, key="k1")

    with pytest.raises(Conflict, match="another request"):
        links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": "Two"}, key="k1")


def test_a_refused_create_leaves_its_key_free(links: Links, visitor: Visitor) -> None:
    with pytest.raises(InvalidInput):
        links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": ""}, key="k1")

    assert links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": "Now"}, key="k1").item is not None


def test_a_create_without_an_answer_is_never_sent_twice_under_its_key(
    links: Links, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.openproject.fail_create_after_commit = True
    values = {"projectId": "1", "subject": "Perhaps"}
    for _ in range(2):
        with pytest.raises(Exception, match=r"tell whether|under way"):
            links.create(visitor, "openproject", CASE, values, key="k1")

    posts = [r for r in upstreams.openproject.requests if r.method == "POST" and r.path.endswith("/work_packages")]
    assert len(posts) == 1


def test_the_picker_marks_what_is_linked_already(links: Links, visitor: Visitor) -> None:
    links.link(visitor, "openproject", CASE, "101")

    found = links.available(visitor, "openproject", "", obj=CASE)

    assert {hit.item.reference: hit.linked for hit in found}["101"] is True
    assert False in [hit.linked for hit in found]


def test_a_reader_may_not_write(links: Links) -> None:
    reader = Visitor(Principal("bob", "token", SCOPES["read"]), Caller("test", "bob"))

    for write in (
        lambda: links.link(reader, "openproject", CASE, "101"),
        lambda: links.create(reader, "openproject", CASE, {"projectId": "1", "subject": "x"}),
        lambda: links.update(reader, "openproject", CASE, "101", {"subject": "x"}),
        lambda: links.unlink(reader, "openproject", CASE, "101"),
    ):
        with pytest.raises(Forbidden):
            write()


def test_a_reader_neither_searches_nor_sees_choices(links: Links, upstreams: Upstreams) -> None:
    reader = Visitor(Principal("bob", "token", SCOPES["read"]), Caller("test", "bob"))

    with upstreams.openproject.counting() as requests:
        for search in (
            lambda: links.available(reader, "openproject", "", obj=CASE),
            lambda: links.available(reader, "openproject", "101"),
            lambda: links.choices(reader, "openproject", "projectId", {}, obj=CASE),
            lambda: links.choices(reader, "openproject", "assignee", {}, obj=CASE, reference="101"),
        ):
            with pytest.raises(Forbidden):
                search()
    assert requests == []


def test_whoever_may_change_a_linked_item_sees_the_choices_of_its_form(links: Links, visitor: Visitor) -> None:
    links.link(visitor, "openproject", CASE, "101")
    changer = Visitor(Principal("bob", "embed:1", frozenset({Action.UPDATE}), Limits(CASE)), Caller("test", "bob"))

    assert links.choices(changer, "openproject", "status", {}, obj=CASE, reference="101").items
    with pytest.raises(NotFound):
        links.choices(changer, "openproject", "status", {}, obj=OTHER, reference="101")


def test_an_item_that_is_not_linked_has_no_choices(links: Links, visitor: Visitor, upstreams: Upstreams) -> None:
    with upstreams.openproject.counting() as requests:
        with pytest.raises(NotFound):
            links.choices(visitor, "openproject", "assignee", {}, obj=CASE, reference="101")
        with pytest.raises(InvalidInput):
            links.choices(visitor, "openproject", "assignee", {}, reference="101")
    assert requests == []


def test_choices_are_for_objects_within_the_limits(links: Links) -> None:
    writer = Visitor(Principal("bob", "embed:1", SCOPES["write"], Limits(CASE)), Caller("test", "bob"))

    assert links.choices(writer, "openproject", "projectId", {}, obj=CASE).items
    with pytest.raises(NotFound):
        links.choices(writer, "openproject", "projectId", {}, obj=OTHER)


def test_searching_the_list_looks_at_titles(links: Links, visitor: Visitor, upstreams: Upstreams) -> None:
    links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")
    links.link(visitor, "xwiki", CASE, "Dev.Sub.WebHome")

    listing = links.listing(visitor, "xwiki", CASE, search="testpage1")

    assert [row.pointer.reference for row in listing.rows] == ["xwiki:Sandbox.TestPage1"]
    assert listing.total == 1


def test_paging_walks_over_all_pointers(links: Links, visitor: Visitor) -> None:
    for number in ("101", "102", "103"):
        links.link(visitor, "openproject", CASE, number)

    first = links.listing(visitor, "openproject", CASE, limit=2)
    second = links.listing(visitor, "openproject", CASE, limit=2, page=2)

    assert [row.pointer.reference for row in (*first.rows, *second.rows)] == ["103", "102", "101"]
    assert first.total == second.total == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.sources.delete("xwiki", by=ALICE), Reason.SOURCE_MISSING),
        (lambda s: s.sources.change("xwiki", {"enabled": False}, by=ALICE), Reason.SOURCE_DISABLED),
        (lambda s: s.switches.set_connector(on=False, by=ALICE), Reason.CONNECTOR_DISABLED),
    ],
)
def test_without_a_usable_source_every_call_says_why_and_nothing_goes_out(
    links: Links, visitor: Visitor, services: Panel, upstreams: Upstreams, change, reason: Reason
) -> None:
    change(services)

    with upstreams.xwiki.counting() as asked:
        listing = links.listing(visitor, "xwiki", CASE)
        with pytest.raises(ProviderUnavailable) as caught:
            links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")

    assert listing.problem is not None
    assert (listing.problem.reason, caught.value.reason, asked) == (reason, reason, [])


def test_a_credential_that_does_not_open_is_said_and_not_sent(
    links: Links, visitor: Visitor, services: Panel, upstreams: Upstreams
) -> None:
    from panel.storage.engine import db

    source = services.sources.get("xwiki")
    source.secret = services.sources.get("openproject").secret
    db.session.commit()

    listing = links.listing(visitor, "xwiki", CASE)

    assert listing.problem is not None
    assert listing.problem.reason is Reason.SOURCE_UNREADABLE
    assert upstreams.xwiki.requests == []


def test_nothing_of_the_upstream_reaches_the_instance_folder(
    links: Links, visitor: Visitor, services: Panel, upstreams: Upstreams, tmp_path: Path
) -> None:
    upstreams.xwiki.add_page("Sandbox.Canary", title="Zyxcanarytitle", content="Zyxcanarycontent and more")
    links.link(visitor, "xwiki", CASE, "Sandbox.Canary")
    links.item(visitor, "xwiki", CASE, "xwiki:Sandbox.Canary")
    links.create(visitor, "openproject", CASE, {"projectId": "1", "subject": "Zyxcanarysubject"}, key="k")
    # A page is named like its title, and its name is part of the reference.
    links.create(visitor, "xwiki", CASE, {"space": "Sandbox", "title": "Plain heading", "content": "Zyxcanarytext"})
    for leaf in ("xwiki", "openproject"):
        assert all(row.item is not None for row in links.listing(visitor, leaf, CASE).rows)
    services.call_log.flush()

    for file in (path for path in (tmp_path / "instance").rglob("*") if path.is_file()):
        raw = file.read_bytes().lower()
        for word in (b"zyxcanary", b"in progress", "zyxcanary".encode("utf-16-le")):
            assert word not in raw, (file, word)


def test_the_credential_never_reaches_the_instance_folder(
    connected: Flask, upstreams: Upstreams, tmp_path: Path
) -> None:
    canary = "canary-4f1d9c7be2a84d0c"
    with connected.app_context():
        sources = connected.extensions["leafpanel"].sources
        sources.change("xwiki", {"auth": {"type": "basic", "username": "alice", "password": canary}}, by=ALICE)

    for file in (path for path in (tmp_path / "instance").rglob("*") if path.is_file()):
        assert canary.encode() not in file.read_bytes(), file
