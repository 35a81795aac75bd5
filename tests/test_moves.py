"""Links of pages that moved: shown as moved, and pointed to the new place by the service, JSON, MCP and the tab."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from support import CASE, CASE_PATH, CONSOLE, Upstreams, signed_in_client
from web.tab_reader import HTMX, follow, get, leaf, send

from panel.accounts.principal import Action, Principal
from panel.connector import Caller
from panel.core.domain import Item, Row, State
from panel.core.errors import (
    AlreadyLinked,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotSupported,
    ProviderUnavailable,
)
from panel.core.reasons import Reason
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import AuditEntry, Link

MADE = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
OLD, NEW = "xwiki:Sandbox.Draft", "xwiki:Sandbox.Permit"
Bearer = Callable[[str], dict[str, str]]


@pytest.fixture
def wiki(connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams) -> Upstreams:
    """A page is linked, and renamed without a redirect."""
    upstreams.xwiki.add_page("Sandbox.Draft", title="Permit of 2026", created=MADE)
    services.links.link(visitor, "xwiki", CASE, "Sandbox.Draft")
    _rename(upstreams, "Draft", "Permit")
    return upstreams


def _rename(upstreams: Upstreams, old: str, new: str, *, redirect: bool = False) -> None:
    upstreams.xwiki.rename_page(f"Sandbox.{old}", f"Sandbox.{new}", redirect=redirect)
    upstreams.xwiki.index()


def _rows(services: Panel, visitor: Visitor) -> list[Row]:
    return list(services.links.listing(visitor, "xwiki", CASE).rows)


def _link() -> Link:
    return db.session.scalars(select(Link)).one()


# --- what is stored -----------------------------------------------------------------------------------------------


def test_linking_and_creating_store_the_second_of_making(
    connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.xwiki.add_page("Sandbox.Draft", created=MADE)

    services.links.link(visitor, "xwiki", CASE, "Sandbox.Draft")
    services.links.create(visitor, "xwiki", CASE, {"space": "Sandbox", "title": "New page"})
    services.links.link(visitor, "openproject", CASE, "101")

    linked, created, package = db.session.scalars(select(Link.origin).order_by(Link.id))
    assert linked is not None
    assert created is not None
    assert linked // 1000 == int(MADE.timestamp())
    assert abs(created // 1000 - datetime.now(UTC).timestamp()) < 60
    assert package is None


def test_an_older_link_gets_its_origin_when_its_page_is_read(
    connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.xwiki.add_page("Sandbox.Draft", created=MADE)
    services.links.link(visitor, "xwiki", CASE, "Sandbox.Draft")
    known = _link().origin
    db.session.execute(update(Link).values(origin=None))
    db.session.commit()

    services.links.item(visitor, "xwiki", CASE, OLD)

    assert _link().origin == known


def test_a_page_is_shown_when_its_origin_cannot_be_stored(
    connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    services.links.link(visitor, "xwiki", CASE, "Sandbox.TestPage1")
    db.session.execute(update(Link).values(origin=None))
    db.session.commit()
    db.session.connection().exec_driver_sql("PRAGMA query_only = ON")

    row = services.links.item(visitor, "xwiki", CASE, "xwiki:Sandbox.TestPage1")

    assert row.item is not None
    assert row.item.state is State.LIVE
    assert _link().origin is None


def test_a_list_is_shown_when_moved_items_cannot_be_looked_for(
    wiki: Upstreams, services: Panel, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> dict[str, Item]:
        raise ProviderUnavailable.because(Reason.TIMEOUT, "No answer.")

    monkeypatch.setattr(services.registry.get("xwiki"), "locate", refuse)

    (row,) = _rows(services, visitor)

    assert row.item is not None
    assert row.item.state is State.GONE


# --- following ----------------------------------------------------------------------------------------------------


def test_following_keeps_who_linked_the_page_and_when(wiki: Upstreams, services: Panel, visitor: Visitor) -> None:
    before = _link()
    known = (before.id, before.linked_by, before.linked_at, before.origin)
    other = Visitor(Principal("carol", "local", frozenset({Action.VIEW, Action.LINK})), Caller("test", "carol"))

    row = services.moves.follow(other, "xwiki", CASE, OLD, NEW)

    after = _link()
    assert (after.id, after.linked_by, after.linked_at, after.origin) == known
    assert (row.pointer.reference, row.item and row.item.title) == (NEW, "Permit of 2026")
    (shown,) = _rows(services, visitor)
    assert shown.item is not None
    assert (shown.pointer.reference, shown.item.state) == (NEW, State.LIVE)
    line = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert line is not None
    assert (line.deed, line.who, line.subject, line.detail) == ("follow", "carol", OLD, f"now {NEW}")


def test_a_redirect_proves_the_new_place_of_an_older_link(
    connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.xwiki.add_page("Sandbox.Draft", created=MADE)
    services.links.link(visitor, "xwiki", CASE, "Sandbox.Draft")
    db.session.execute(update(Link).values(origin=None))
    db.session.commit()
    _rename(upstreams, "Draft", "Between", redirect=True)
    _rename(upstreams, "Between", "Permit", redirect=True)

    services.moves.follow(visitor, "xwiki", CASE, OLD, NEW)

    assert (_link().reference, (_link().origin or 0) // 1000) == (NEW, int(MADE.timestamp()))


@pytest.mark.parametrize(
    ("text", "failure", "words"),
    [
        ("xwiki:Sandbox.TestPage1", InvalidInput, "did not move there"),
        ("xwiki:Sandbox.Copy", InvalidInput, "did not move there"),
        ("xwiki:Sandbox.Nowhere", NotFound, "no page"),
        (OLD, NotFound, "no page"),
        (" ", InvalidInput, "is missing"),
        ("x" * 5000, InvalidInput, "at most"),
    ],
)
def test_a_link_does_not_go_where_its_page_did_not(
    wiki: Upstreams, services: Panel, visitor: Visitor, text: str, failure: type[Exception], words: str
) -> None:
    wiki.xwiki.copy_page("Sandbox.Permit", "Sandbox.Copy")

    with pytest.raises(failure, match=words):
        services.moves.follow(visitor, "xwiki", CASE, OLD, text)

    assert _link().reference == OLD


def test_a_link_whose_page_is_still_there_stays(wiki: Upstreams, services: Panel, visitor: Visitor) -> None:
    _rename(wiki, "Permit", "Draft")
    wiki.xwiki.add_page("Sandbox.Sibling", created=MADE)

    with pytest.raises(Conflict, match="has not moved"):
        services.moves.follow(visitor, "xwiki", CASE, OLD, "Sandbox.Sibling")


def test_a_place_that_is_linked_already_is_not_linked_twice(wiki: Upstreams, services: Panel, visitor: Visitor) -> None:
    services.links.link(visitor, "xwiki", CASE, "Sandbox.Permit")

    with pytest.raises(AlreadyLinked, match="already linked at its new place"):
        services.moves.follow(visitor, "xwiki", CASE, OLD, NEW)

    assert sorted(db.session.scalars(select(Link.reference))) == [OLD, NEW]


def test_following_needs_the_right_to_link(wiki: Upstreams, services: Panel) -> None:
    looker = Visitor(Principal("bob", "local", frozenset(Action) - {Action.LINK, Action.ADMIN}), Caller("test", "bob"))

    with pytest.raises(Forbidden):
        services.moves.follow(looker, "xwiki", CASE, OLD, NEW)


def test_what_never_moves_cannot_be_followed(connected: Flask, services: Panel, visitor: Visitor) -> None:
    services.links.link(visitor, "openproject", CASE, "101")

    with pytest.raises(NotSupported):
        services.moves.follow(visitor, "openproject", CASE, "101", "102")


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_json_shows_a_moved_row_and_follows_it(wiki: Upstreams, client: FlaskClient, bearer: Bearer) -> None:
    path, token = f"{CASE_PATH}/xwiki", bearer("write")

    (row,) = client.get(path, headers=token).json["items"]
    one = client.get(f"{path}/{OLD}", headers=token).json
    followed = client.patch(f"{path}/{OLD}", headers=token, json={"reference": row["movedTo"][0]})

    assert (row["state"], row["movedTo"], row["id"], row["title"], row["page"]) == (
        "moved", [NEW], OLD, "Permit of 2026", "Permit",
    )  # fmt: skip
    assert (one["state"], one["movedTo"]) == ("moved", [NEW])
    assert followed.status_code == 200
    (now,) = client.get(path, headers=token).json["items"]
    for body in (followed.json, now):
        assert (body["state"], body["id"], body["title"], body["linkedAt"]) == (
            "live", NEW, "Permit of 2026", row["linkedAt"],
        )  # fmt: skip
        assert "movedTo" not in body


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"reference": "Sandbox.TestPage1"}, 400, "reference"),
        ({"reference": ""}, 400, "reference"),
        ({"reference": "Sandbox.Nowhere"}, 404, None),
        ({"title": "x"}, 501, None),
    ],
)
def test_json_names_what_is_wrong(
    wiki: Upstreams, client: FlaskClient, bearer: Bearer, body: dict[str, str], status: int, field: str | None
) -> None:
    answer = client.patch(f"{CASE_PATH}/xwiki/{OLD}", headers=bearer("write"), json=body)

    assert (answer.status_code, answer.json.get("field")) == (status, field)


@pytest.mark.parametrize(("can", "status"), [(["view", "link"], 200), (["view", "update", "unlink", "create"], 403)])
def test_an_embedding_application_follows_with_the_right_to_link(
    wiki: Upstreams, services: Panel, client: FlaskClient, can: list[str], status: int
) -> None:
    made = services.embed_apps.create("Cases", ["https://cases.example.org"], by=CONSOLE)
    headers = {"Authorization": f"Bearer {token_of(made, CASE, sub='carol', can=can)}"}

    answer = client.patch(f"{CASE_PATH}/xwiki/{OLD}", headers=headers, json={"reference": NEW})

    assert answer.status_code == status


# --- the tab ------------------------------------------------------------------------------------------------------


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Noor V.", "editor")


def test_the_tab_shows_a_moved_page_and_follows_it_without_scripts(
    wiki: Upstreams, editor: FlaskClient, services: Panel
) -> None:
    page = get(editor, leaf("xwiki"))

    assert page.texts(".lp-summary") == ["1 page , 1 moved"]
    assert page.texts(".lp-title") == ["Permit of 2026"]
    shown = services.registry.get("xwiki").shown_reference(OLD)
    assert page.texts(".lp-gone") == [f"Moved in xWiki. The link still points to {shown} ."]

    after = follow(editor, send(editor, page, ".lp-follow"))

    assert after.texts("#lp-banner p") == ["Link updated."]
    assert (after.texts(".lp-title"), after.texts(".lp-gone")) == (["Permit of 2026"], [])


def test_the_tab_follows_a_moved_page_for_htmx(wiki: Upstreams, editor: FlaskClient) -> None:
    after = send(editor, get(editor, leaf("xwiki")), ".lp-follow", headers=HTMX)

    assert after.status == 200
    assert (after.texts(".lp-title"), after.texts(".lp-gone")) == (["Permit of 2026"], [])


def test_the_tab_says_why_a_link_was_not_updated(wiki: Upstreams, editor: FlaskClient) -> None:
    after = send(editor, get(editor, leaf("xwiki")), ".lp-follow", {"to": "Sandbox.TestPage1"})

    assert after.status == 400
    assert after.texts(".lp-problem") == ["The linked page did not move there."]
    assert len(after.all(".lp-follow")) == 1


def test_the_tab_offers_every_page_that_it_can_be(
    wiki: Upstreams, editor: FlaskClient, services: Panel, visitor: Visitor
) -> None:
    wiki.xwiki.add_page("Sandbox.Sibling", title="Sibling", created=MADE, version="2.1")
    services.links.link(visitor, "xwiki", CASE, "Sandbox.Sibling")

    page = get(editor, leaf("xwiki"))

    assert page.texts(".lp-gone") == ["Moved in xWiki. It can be one of these pages:"]
    assert page.texts(".lp-places .lp-title") == ["Permit of 2026", "Sibling"]
    assert page.texts(".lp-places .lp-when") == ["Already linked"]
    assert len(page.all(".lp-places form")) == 1


def test_a_viewer_sees_where_a_page_moved_and_cannot_follow_it(
    wiki: Upstreams, connected: Flask, editor: FlaskClient
) -> None:
    viewer = signed_in_client(connected, "Bob", "viewer")

    page = get(viewer, leaf("xwiki"))

    assert page.texts(".lp-title") == ["Permit of 2026"]
    assert page.all(".lp-follow") == []
