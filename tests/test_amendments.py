"""Links that are pointed to another item, unlinked and restored, and their notes."""

from __future__ import annotations

import pytest
from audit_lines import entries
from flask import Flask
from flask.testing import FlaskClient
from support import CASE, CASE_PATH, Upstreams, signed_in_client
from web.tab_reader import Seen, follow, get, leaf, send

from panel.accounts.principal import Action, Principal
from panel.connector import Caller
from panel.core.domain import Pointer
from panel.core.errors import AlreadyLinked, Forbidden, InvalidInput, NotFound
from panel.links.amendments import Amendments
from panel.links.visitor import Visitor
from panel.services import Panel
from panel.storage.models import AuditEntry

NOTE = "The decision is in here"


def entries_of(deed: str) -> list[AuditEntry]:
    return [entry for entry in entries() if entry.deed == deed]


@pytest.fixture
def amend(connected: Flask, services: Panel, visitor: Visitor, upstreams: Upstreams) -> Amendments:
    for number in ("101", "102"):
        services.links.link(visitor, "openproject", CASE, number)
    services.amendments.write_note(visitor, "openproject", CASE, "101", NOTE)
    return services.amendments


def pointers_of(services: Panel, visitor: Visitor) -> dict[str, Pointer]:
    rows = services.links.listing(visitor, "openproject", CASE).rows
    return {row.pointer.reference: row.pointer for row in rows}


def test_a_gone_item_is_replaced_in_one_step(
    amend: Amendments, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    before = pointers_of(services, visitor)["101"]
    upstreams.openproject.hide(101)

    was, row = amend.repoint(visitor, "openproject", CASE, "101", "#103")

    after = pointers_of(services, visitor)
    assert set(after) == {"102", "103"}
    assert (was.reference, row.pointer.reference) == ("101", "103")
    assert (after["103"].linked_at, after["103"].note) == (before.linked_at, NOTE)
    assert entries_of("repoint")[-1].detail == "now 103"


def test_pointing_back_needs_no_upstream(
    amend: Amendments, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    was, _ = amend.repoint(visitor, "openproject", CASE, "101", "103")
    upstreams.openproject.fault = "server-error"
    amend.point_back(visitor, "openproject", CASE, "103", was)
    upstreams.openproject.fault = None

    assert set(pointers_of(services, visitor)) == {"101", "102"}


@pytest.mark.parametrize(
    ("text", "error"), [("102", AlreadyLinked), ("101", AlreadyLinked), ("999", NotFound), (" ", InvalidInput)]
)
def test_a_link_is_not_pointed_to_what_cannot_be_linked(
    amend: Amendments, services: Panel, visitor: Visitor, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        amend.repoint(visitor, "openproject", CASE, "101", text)

    assert set(pointers_of(services, visitor)) == {"101", "102"}


def test_an_unlinked_item_comes_back_with_its_note_also_when_it_is_gone(
    amend: Amendments, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> None:
    upstreams.openproject.hide(101)
    removed = services.links.unlink(visitor, "openproject", CASE, "101")
    amend.relink(visitor, "openproject", CASE, removed)
    amend.relink(visitor, "openproject", CASE, removed)

    assert pointers_of(services, visitor)["101"].note == NOTE
    assert [line.detail for line in entries_of("link")] == ["", "", "undo"]


def test_a_note_is_one_line_of_200_characters(amend: Amendments, services: Panel, visitor: Visitor) -> None:
    amend.write_note(visitor, "openproject", CASE, "102", " two\nlines\u200b ")
    with pytest.raises(InvalidInput):
        amend.write_note(visitor, "openproject", CASE, "101", "x" * 201)

    assert {one.note for one in pointers_of(services, visitor).values()} == {"two lines", NOTE}


def test_a_note_needs_the_right_to_link_and_leaves_a_line_without_its_words(
    amend: Amendments, services: Panel, visitor: Visitor
) -> None:
    reader = Visitor(Principal("r", "embed:a", frozenset({Action.VIEW, Action.UPDATE})), Caller("embed", "r"))
    with pytest.raises(Forbidden):
        amend.write_note(reader, "openproject", CASE, "101", "mine")
    amend.write_note(visitor, "openproject", CASE, "101", "")

    lines = entries_of("note")
    assert [line.detail for line in lines] == ["", "removed"]
    assert NOTE not in "".join(str(vars(line)) for line in lines)


# --- the tab without scripts, and JSON -------------------------------------------------------------------------------


@pytest.fixture
def editor(connected: Flask, upstreams: Upstreams, visitor: Visitor) -> FlaskClient:
    with connected.app_context():
        services = connected.extensions["leafpanel"]
        for number in ("101", "102"):
            services.links.link(visitor, "openproject", CASE, number)
        services.amendments.write_note(visitor, "openproject", CASE, "101", NOTE)
    return signed_in_client(connected, "Noor V.", "editor")


def listed(editor: FlaskClient) -> Seen:
    return get(editor, leaf("openproject"))


def test_the_box_replaces_a_gone_item_and_undo_brings_it_back(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.openproject.hide(101)
    choosing = get(editor, listed(editor).hrefs(".lp-row-gone .lp-another")[0])
    found = send(editor, choosing, "#lp-find", {"q": "103"})
    replaced = follow(editor, send(editor, found, "#lp-body form"))

    assert "takes the place of #101" in choosing.text
    assert "takes the place of #101" in found.text
    assert replaced.texts(".lp-row-gone") == []
    assert replaced.texts(".lp-note") == [f"Note: {NOTE}"]
    undone = follow(editor, send(editor, replaced, "#lp-undo-change"))
    assert len(undone.texts(".lp-row-gone")) == 1
    assert undone.texts(".lp-banner p") == ["Undone."]


def test_undo_after_unlink_restores_link_and_note(editor: FlaskClient) -> None:
    page = listed(editor)
    forms = [
        form for form in page.all(".lp-question") if form.css_first("[name=reference]").attributes["value"] == "101"
    ]  # type: ignore[union-attr]
    assert len(forms) == 1
    gone = follow(editor, send(editor, page, f"#{_id_of(page, '101')} .lp-question"))
    assert gone.texts(".lp-note") == []

    back = follow(editor, send(editor, gone, "#lp-undo-change"))
    assert back.texts(".lp-note") == [f"Note: {NOTE}"]


def _id_of(page: Seen, reference: str) -> str:
    rows = page.all(".lp-rows > li")
    return next(
        str(row.attributes["id"]) for row in rows if row.css_first(f".lp-question [value='{reference}']") is not None
    )


def test_an_undo_of_another_object_or_a_made_up_one_is_refused(editor: FlaskClient) -> None:
    page = listed(editor)
    gone = follow(editor, send(editor, page, f"#{_id_of(page, '101')} .lp-question"))
    elsewhere = leaf("openproject", "/undo").replace("case/1", "case/2")

    assert send(editor, gone, "#lp-undo-change", action=elsewhere).status == 400
    assert send(editor, gone, "#lp-undo-change", {"ticket": "made.up"}).status == 400


def test_the_page_of_a_link_has_its_note_and_other_objects(
    editor: FlaskClient, connected: Flask, visitor: Visitor
) -> None:
    with connected.app_context():
        from panel.core.domain import ObjectRef

        connected.extensions["leafpanel"].links.link(visitor, "openproject", ObjectRef("demo", "case", "Z-7"), "101")
    page = get(editor, leaf("openproject", "/items/101/about"))
    saved = follow(editor, send(editor, page, ".lp-note-form", {"note": "Mind the annex"}))

    assert page.texts(".lp-elsewhere a") == ["Z-7"]
    assert page.hrefs(".lp-elsewhere a") == [leaf("openproject").replace("case/1", "case/Z-7")]
    assert saved.texts(".lp-note") == ["Note: Mind the annex"]
    assert send(editor, page, ".lp-note-form", {"note": "x" * 201}).texts(".lp-error") == [
        "“note” has at most 200 characters."
    ]


def test_the_filter_and_json_search_find_notes(editor: FlaskClient, connected: Flask) -> None:
    rows = editor.get(f"{CASE_PATH}/openproject?_search=decision").get_json()["items"]

    assert [(row["id"], row["note"]) for row in rows] == [("101", NOTE)]
    assert len(get(editor, leaf("openproject", "?find=decision")).all(".lp-row")) == 1
