"""Another instance behind a source than the one that its links were made in: found, told, and accepted on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from support import ALICE, CASE, CASE_PATH, Upstreams, api_token, signed_in_client

from panel.connector import Caller
from panel.core.domain import ConnectionTest, Health
from panel.core.errors import Conflict, WrongInstance
from panel.core.health import HealthStatus
from panel.links.visitor import Visitor
from panel.sandbox.xwiki_seeds import SET_UP
from panel.services import Panel
from panel.sources.instances import differs
from panel.storage.engine import db
from panel.storage.models import Instance

TESTER = Caller("test", "alice")
REFERENCES = {"xwiki": "Sandbox.TestPage1", "openproject": "101"}
ANOTHER = {
    "xwiki": "This leads to another xWiki than the one the link was made in.",
    "openproject": "This leads to another OpenProject than the one the link was made in.",
}


@pytest.fixture
def panel(connected: Flask) -> Iterator[Panel]:
    with connected.app_context():
        yield connected.extensions["leafpanel"]


@pytest.fixture(params=["xwiki", "openproject"])
def leaf(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def linked(panel: Panel, visitor: Visitor, leaf: str) -> None:
    """A test that went well, and a link."""
    assert check(panel, leaf).warning == ""
    panel.links.link(visitor, leaf, CASE, REFERENCES[leaf])


def check(panel: Panel, leaf: str) -> ConnectionTest:
    return panel.connection_tests.run(leaf, caller=TESTER)


def exchange(upstreams: Upstreams, leaf: str) -> None:
    """From now on another instance answers at the same address."""
    if leaf == "openproject":
        upstreams.openproject.host_name = "elsewhere.example"
    else:
        upstreams.xwiki.add_page("Main.WebHome", title="Home", created=datetime(2019, 5, 6, tzinfo=UTC))


def put_back(upstreams: Upstreams, leaf: str) -> None:
    upstreams.openproject.host_name = "projecten.lindewaard.example"
    upstreams.xwiki.add_page("Main.WebHome", title="Home", created=SET_UP)


# --- finding it ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linked")
def test_the_test_connection_finds_another_instance(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)

    ladder = check(panel, leaf)

    assert (ladder.ok, ladder.warning, len(ladder.steps)) == (True, ANOTHER[leaf], 7)
    assert ladder.steps[-1].name == "instance"
    assert "The location" in ladder.steps[-1].change


@pytest.mark.usefixtures("linked")
def test_a_later_test_of_the_same_instance_says_nothing(panel: Panel, leaf: str) -> None:
    ladder = check(panel, leaf)

    assert (ladder.warning, len(ladder.steps)) == ("", 6)


@pytest.mark.usefixtures("linked")
def test_health_finds_another_instance(panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)

    health: Health = panel.links.health(visitor, leaf)

    assert (health.status, health.auth_status.value, health.reason) == (HealthStatus.DEGRADED, "configured", None)
    assert health.message == ANOTHER[leaf]


def test_polling_the_health_asks_once_a_minute_which_instance_it_is(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    panel.links.health(visitor, leaf)
    asked = getattr(upstreams, leaf)

    with asked.counting() as requests:
        panel.links.health(visitor, leaf)

    assert len(requests) == {"xwiki": 1, "openproject": 2}[leaf]


def test_the_first_check_that_goes_well_tells_the_instance(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    getattr(upstreams, leaf).fault = "unauthorized"
    check(panel, leaf)
    assert db.session.get(Instance, leaf) is None

    getattr(upstreams, leaf).fault = None
    panel.links.health(visitor, leaf)

    assert db.session.get(Instance, leaf) is not None


# --- what is no other instance ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linked")
def test_another_version_account_or_edit_is_the_same_instance(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    upstreams.xwiki.add_page("Main.WebHome", title="Renamed", content="New.", version="7.1", created=SET_UP)
    secrets = {"xwiki": ("bob", "builder"), "openproject": ("apikey", "A")}[leaf]
    panel.sources.change(leaf, {"auth": {"type": "basic", "username": secrets[0], "password": secrets[1]}}, by=ALICE)

    assert (check(panel, leaf).ok, check(panel, leaf).warning) == (True, "")


def test_while_there_are_no_links_the_newest_instance_counts(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    check(panel, leaf)
    exchange(upstreams, leaf)

    assert check(panel, leaf).warning == ""
    panel.links.link(visitor, leaf, CASE, REFERENCES[leaf])
    assert check(panel, leaf).warning == ""


@pytest.mark.usefixtures("linked")
def test_an_instance_that_does_not_tell_is_not_called_another(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    upstreams.openproject.fault_only = lambda request: request.path.endswith(("/configuration", "/api/v3"))
    upstreams.xwiki.fault_only = lambda request: "/Main/" in request.path
    getattr(upstreams, leaf).fault = "forbidden"

    assert panel.links.health(visitor, leaf).status is HealthStatus.OK
    assert db.session.get(Instance, leaf) is not None


@pytest.mark.parametrize(
    ("known", "marks", "another"),
    [
        ({}, {"host": "a"}, False),
        ({"host": "a"}, {}, False),
        ({"host": "a"}, {"host": "a"}, False),
        ({"host": "a"}, {"host": "b"}, True),
        ({"name": "x"}, {"host": "b"}, False),
        ({"host": "a", "name": "x"}, {"host": "a", "name": "y"}, False),
        ({"host": "a", "name": "x"}, {"host": "b", "name": "x"}, True),
        ({"name": "x"}, {"host": "b", "name": "y"}, True),
    ],
)
def test_the_most_telling_mark_that_both_have_decides(
    known: dict[str, str], marks: dict[str, str], another: bool
) -> None:
    assert differs(known, marks) is another


def test_a_tracker_without_a_host_name_is_known_by_its_own_name(
    panel: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.openproject.host_name = None
    check(panel, "openproject")
    panel.links.link(visitor, "openproject", CASE, "101")

    upstreams.openproject.host_name = "projecten.lindewaard.example"
    told_more = check(panel, "openproject").warning
    upstreams.openproject.host_name = "elsewhere.example"

    assert (told_more, check(panel, "openproject").warning) == ("", ANOTHER["openproject"])


# --- keeping it ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linked")
def test_neither_saving_nor_deleting_the_source_makes_it_forget(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)
    check(panel, leaf)

    panel.sources.change(leaf, {"name": "Another name"}, by=ALICE)
    assert panel.instances.other_instance(leaf) is not None
    panel.sources.delete(leaf, by=ALICE)

    row = db.session.get(Instance, leaf, populate_existing=True)
    assert row is not None
    assert row.marks != row.other


@pytest.mark.usefixtures("linked")
def test_a_test_of_unsaved_settings_warns_and_keeps_nothing(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)

    ladder = panel.connection_tests.run(leaf, {"name": "Typed"}, caller=TESTER)

    assert ladder.warning == ANOTHER[leaf]
    assert panel.instances.other_instance(leaf) is None


@pytest.mark.usefixtures("linked")
def test_setting_the_address_back_ends_the_warning(panel: Panel, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)
    check(panel, leaf)

    put_back(upstreams, leaf)

    assert check(panel, leaf).warning == ""
    assert panel.instances.other_instance(leaf) is None


@pytest.mark.usefixtures("linked")
def test_nothing_that_the_upstream_tells_is_kept_in_words(panel: Panel, leaf: str) -> None:
    row = db.session.get(Instance, leaf)

    assert row is not None
    for value in row.marks.values():
        assert len(value) == 64
        int(value, 16)


# --- accepting it ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linked")
def test_an_instance_that_was_accepted_is_the_one_from_now_on(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    exchange(upstreams, leaf)
    check(panel, leaf)
    other_instance = panel.instances.other_instance(leaf)
    assert other_instance is not None

    panel.connection_tests.accept_instance(leaf, other_instance.id, by=ALICE)

    last = panel.checks.last(panel.sources.get(leaf))
    assert last is not None
    assert last.status == HealthStatus.OK
    assert check(panel, leaf).warning == ""
    put_back(upstreams, leaf)
    assert check(panel, leaf).warning == ANOTHER[leaf]


@pytest.mark.usefixtures("linked")
def test_nobody_accepts_an_instance_that_he_has_not_seen(panel: Panel, upstreams: Upstreams) -> None:
    upstreams.openproject.host_name = "one.example"
    upstreams.xwiki.add_page("Main.WebHome", created=datetime(2019, 5, 6, tzinfo=UTC))
    [check(panel, leaf) for leaf in REFERENCES]
    seen = [panel.instances.other_instance(leaf) for leaf in REFERENCES]
    upstreams.openproject.host_name = "two.example"
    upstreams.xwiki.add_page("Main.WebHome", created=datetime(2020, 5, 6, tzinfo=UTC))
    [check(panel, leaf) for leaf in REFERENCES]

    for leaf, other_instance in zip(REFERENCES, seen, strict=True):
        if other_instance is not None:
            with pytest.raises(Conflict):
                panel.connection_tests.accept_instance(leaf, other_instance.id, by=ALICE)
    assert any(seen)


# --- the console and JSON --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("linked")
def test_the_console_warns_and_accepts(connected: Flask, upstreams: Upstreams, leaf: str) -> None:
    exchange(upstreams, leaf)
    run = connected.test_cli_runner().invoke

    warned = run(args=["source", "test", leaf])
    doctor = run(args=["doctor"])
    accepted = run(args=["source", "test", leaf, "--accept-instance"])
    after = run(args=["source", "test", leaf])

    assert f"WARN  instance   {ANOTHER[leaf]}" in warned.output
    assert (warned.exit_code, accepted.exit_code, after.exit_code) == (0, 0, 0)
    assert f"FAIL  {leaf:<12} {ANOTHER[leaf]}" in doctor.output
    assert "The links lead into this instance now." in accepted.output
    assert "WARN" not in after.output


@pytest.mark.usefixtures("linked")
def test_programs_are_told_too(
    connected: Flask, bearer: Callable[[str], dict[str, str]], upstreams: Upstreams, leaf: str
) -> None:
    exchange(upstreams, leaf)
    client, known = connected.test_client(), bearer("admin")

    tested = client.post(f"/api/sources/{leaf}/test", headers=known).json or {}
    health = client.get(f"/api/integrations/{leaf}/health", headers=known).json or {}
    listed = client.get(f"{CASE_PATH}/{leaf}", headers=known)

    assert tested["rungs"][-1] == {"rung": "instance", "ok": True, "message": ANOTHER[leaf], "warning": True}
    assert (tested["ok"], tested["reason"]) == (True, None)
    assert (health["status"], health["message"], health.get("reason")) == ("degraded", ANOTHER[leaf], None)
    assert listed.status_code == 200


# --- writing to it ---------------------------------------------------------------------------------------------------

NEW = {
    "xwiki": {"space": "Sandbox", "title": "Written elsewhere"},
    "openproject": {"projectId": "1", "subject": "Written elsewhere"},
}


@pytest.mark.usefixtures("linked")
def test_nothing_is_written_to_another_instance_until_somebody_decides(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str
) -> None:
    exchange(upstreams, leaf)
    check(panel, leaf)
    links, standin = panel.links, getattr(upstreams, leaf)
    with standin.counting() as asked:
        for write in (
            lambda: links.link(visitor, leaf, CASE, "102"),
            lambda: links.link_all(visitor, leaf, CASE, ["102"]),
            lambda: links.create(visitor, leaf, CASE, NEW[leaf]),
            lambda: links.update(visitor, leaf, CASE, REFERENCES[leaf], {"subject": "x"}),
            lambda: panel.dry_run.create(visitor, leaf, CASE, NEW[leaf]),
        ):
            with pytest.raises(WrongInstance, match="than the one the link was made in"):
                write()
    assert asked == []

    other = panel.instances.other_instance(leaf)
    assert other is not None
    panel.instances.accept(leaf, other.id)
    db.session.commit()
    links.create(visitor, leaf, CASE, NEW[leaf])


@pytest.mark.usefixtures("linked")
def test_another_instance_is_read_and_unlinked_and_the_tab_says_so(
    panel: Panel, visitor: Visitor, upstreams: Upstreams, leaf: str, connected: Flask
) -> None:
    exchange(upstreams, leaf)
    check(panel, leaf)
    client = signed_in_client(connected, "Noor V.", "editor")

    page = client.get(f"/objects/demo/case/1/integrations/{leaf}")
    refused = client.post(
        f"{CASE_PATH}/{leaf}",
        json={"reference": "102"},
        headers={"Authorization": f"Bearer {api_token(connected, 'write')}"},
    )

    assert page.status_code == 200
    assert f"{ANOTHER[leaf]} Nothing is linked, created or changed until" in page.text
    assert refused.status_code == 409
    (row,) = panel.links.listing(visitor, leaf, CASE).rows
    panel.links.unlink(visitor, leaf, CASE, row.pointer.reference)
    assert panel.links.counts(CASE) == {}
