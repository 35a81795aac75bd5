"""The create form: an existing page is offered for linking, names survive an outage, and applications fill it."""

from __future__ import annotations

from typing import Any

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from support import CASE, Upstreams, signed_in_client
from web.tab_reader import HTMX, Seen, follow, fragment, get, leaf, send

from panel.accounts.embed_tokens import BadToken

EXISTING = "/new/existing?space=Sandbox&title=Hearing"


@pytest.fixture
def editor(connected: Flask) -> FlaskClient:
    return signed_in_client(connected, "Noor V.", "editor")


def created(client: FlaskClient, **typed: str) -> Seen:
    page = get(client, leaf("xwiki", "/new"))
    return send(client, page, "#lp-new", {"space": "Sandbox", "title": "Hearing", **typed}, headers=HTMX)


# --- a page that exists already --------------------------------------------------------------------------------------


def test_an_existing_page_is_offered_before_anything_is_sent(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Sandbox.Hearing.WebHome", title="The hearing")

    part = fragment(editor, leaf("xwiki", EXISTING))
    action = part.find("#new-existing noscript button").attributes["formaction"]
    page = get(editor, leaf("xwiki", "/new"))
    reference = str(part.find("#new-existing noscript button").attributes["value"])
    linked = send(editor, page, "#lp-new", {"reference": reference}, action=str(action))

    assert (
        part.find("#new-existing [data-announce]").attributes["data-announce"] == "“The hearing” exists there already."
    )
    assert part.texts("#new-existing button[type=button]") == ["Link that page"]
    assert follow(editor, linked).texts(".lp-title") == ["The hearing"]
    again = fragment(editor, leaf("xwiki", EXISTING))
    assert "This page is already linked." in again.text
    assert again.all("#new-existing button") == []


def test_nothing_is_offered_where_nothing_exists(editor: FlaskClient, upstreams: Upstreams) -> None:
    assert fragment(editor, leaf("xwiki", EXISTING)).text == ""
    upstreams.xwiki.fault = "server-error"
    assert fragment(editor, leaf("xwiki", EXISTING)).text == ""


def test_a_refused_create_offers_the_page_that_was_in_the_way(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Sandbox.Hearing.WebHome", title="The hearing")

    page = created(editor, content="Typed")

    assert page.status == 409
    assert page.texts("#new-content") == ["Typed"]
    assert page.texts("[autofocus]") == ["Link that page"]


def test_the_name_follows_the_title_until_it_is_written(editor: FlaskClient, upstreams: Upstreams) -> None:
    page = get(editor, leaf("xwiki", "/new"))

    assert page.find("#new-name").attributes["data-follows"] == "new-title"
    created(editor, name="Hearing of May")
    assert upstreams.xwiki.page("Sandbox.Hearing of May.WebHome").title == "Hearing"


# --- browsing places -------------------------------------------------------------------------------------------------


def test_places_are_browsed_without_scripts(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Cases.WebHome", title="All cases")
    upstreams.xwiki.add_page("Cases.Case 7.WebHome", title="Case seven")
    page = get(editor, leaf("xwiki", "/new"))

    below = send(editor, page, "#lp-new", {"space": "Cases", "title": "Kept", "open-space": "1"})
    deeper = send(editor, below, "#lp-new", {"space": "Cases.Case 7", "open-space": "1"})
    top = send(editor, deeper, "#lp-new", {"within-space": ""})

    assert below.texts("#new-space option") == ["All cases", "All cases › Case seven"]
    assert below.texts("#new-space option[selected]") == ["All cases"]
    assert below.find("#new-title").attributes["value"] == "Kept"
    assert deeper.texts(".lp-trail strong") == ["Case seven"]
    assert deeper.texts(".lp-trail noscript button") == ["Top level", "All cases"]
    assert "All cases" in top.texts("#new-space option")
    assert "Case seven" not in " ".join(top.texts("#new-space option"))


def test_a_branch_comes_as_a_part(editor: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.xwiki.add_page("Cases.Case 7.WebHome", title="Case seven")

    part = fragment(editor, leaf("xwiki", "/new/choices?field=space&open-space=1&space=Cases"))

    assert part.texts("#new-space option") == ["Cases", "Cases › Case seven"]


# --- an outage -------------------------------------------------------------------------------------------------------


def test_a_select_keeps_the_name_of_its_value_during_an_outage(editor: FlaskClient, upstreams: Upstreams) -> None:
    page = get(editor, leaf("openproject", "/new"))
    upstreams.openproject.fault = "server-error"

    after = send(editor, page, "#lp-new", {"projectId": "1", "subject": "A bench"})

    assert after.status == 503
    assert after.texts("#new-projectId option") == ["Alpha"]
    assert after.find("#new-projectId option").attributes["value"] == "1"
    again = send(editor, after, "#lp-new", {})
    assert again.texts("#new-projectId option") == ["Alpha"]


# --- values that an application signed -------------------------------------------------------------------------------

PREFILL = {"subject": "Advice on the roof", "description": "Case Z2026-0148", "project": "1", "nonsense": "x"}


@pytest.fixture
def framed(connected: Flask) -> Any:
    """Open an address of the tab as the frame of an application does."""
    client = connected.test_client()
    made = embedding_app(signed_in_client(connected, "alice", "admin"))
    token = token_of(made, CASE, title="Kerkstraat 12", prefill=PREFILL)
    return lambda path: get(client, f"/embed/demo/case/1{path}", headers={"Authorization": f"Bearer {token}"})


def test_a_form_starts_with_the_signed_values(framed: Any) -> None:
    page = framed("/integrations/openproject/new")

    assert page.texts("h1") == ["Linked to Kerkstraat 12"]
    assert page.find("#new-subject").attributes["value"] == "Advice on the roof"
    assert page.texts("#new-description") == ["Case Z2026-0148"]
    assert page.texts("#new-projectId option[selected]") == ["Alpha"]
    assert page.texts("#new-type option") == ["Default", "Task", "Milestone"]


def test_what_was_searched_counts_more_than_a_signed_title(framed: Any) -> None:
    page = framed("/integrations/openproject/new?text=Searched words")

    assert page.find("#new-subject").attributes["value"] == "Searched words"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"title": 7}, "The claim title must be a text."),
        ({"title": "x" * 256}, "The claim title has 1 to 255 printable characters."),
        ({"prefill": ["x"]}, "The claim prefill must be an object of at most 20 texts."),
        ({"prefill": {f"f{n}": "" for n in range(21)}}, "The claim prefill must be an object of at most 20 texts."),
        ({"prefill": {"": "x"}}, "The claim prefill has a field whose name is too long or not printable."),
        ({"prefill": {"a": True}}, "“a” in the claim prefill must be a text of at most 2000 printable characters."),
        (
            {"prefill": {"a": "x" * 2001}},
            "“a” in the claim prefill must be a text of at most 2000 printable characters.",
        ),
    ],
)
def test_a_claim_that_is_too_long_is_refused(connected: Flask, claims: dict[str, Any], message: str) -> None:
    made = embedding_app(signed_in_client(connected, "alice", "admin"))

    with connected.app_context(), pytest.raises(BadToken) as refused:
        connected.extensions["leafpanel"].embed_apps.verify(token_of(made, CASE, **claims))

    assert str(refused.value) == message


def test_the_inspector_names_signed_fields_that_no_form_has(connected: Flask) -> None:
    admin = signed_in_client(connected, "alice", "admin")
    token = token_of(embedding_app(admin), CASE, prefill=PREFILL)

    page = send(admin, get(admin, "/admin/embedding"), "form[action$=inspect]", {"address": token})

    assert "No create form has these fields of prefill: nonsense." in page.texts("#inspected")[0]
