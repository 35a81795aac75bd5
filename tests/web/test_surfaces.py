"""The surfaces of an object: dashboards and a single item, in their states."""

from __future__ import annotations

import pytest
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, Upstreams
from tab_reader import TAB, Seen, get

from panel.links.visitor import Visitor
from panel.services import Panel

CHIP = f"{TAB}?surface=single-entity&integration=openproject&reference=101"


@pytest.fixture
def linked(
    connected: Flask, as_admin: FlaskClient, services: Panel, visitor: Visitor, upstreams: Upstreams
) -> FlaskClient:
    for reference in ("101", "102", "103", str(upstreams.openproject.add_work_package("Fourth", 1).id)):
        services.links.link(visitor, "openproject", CASE, reference)
    return as_admin


def surface(client: FlaskClient, name: str, more: str = "") -> Seen:
    return get(client, f"{TAB}?surface={name}{more}")


@pytest.mark.parametrize(("name", "rows"), [("app-dashboard", 3), ("user-dashboard", 4)])
def test_a_dashboard_counts_the_links_and_leads_to_all(linked: FlaskClient, name: str, rows: int) -> None:
    page = surface(linked, name)

    assert page.texts(".lp-card h2") == ["Articles", "Projects"]
    assert len(page.all(".lp-card .lp-row")) == rows
    assert page.texts(".lp-card-foot a") == ["All 4 work packages"]
    assert not page.all("#lp-q")
    assert "No pages linked yet" in page.text


def test_a_dashboard_of_one_integration(linked: FlaskClient) -> None:
    assert surface(linked, "user-dashboard", "&integration=openproject").texts(".lp-card h2") == ["Projects"]
    assert surface(linked, "user-dashboard", "&integration=nothing").status == 404


def test_a_degraded_dashboard_says_how_many_are_linked(linked: FlaskClient, upstreams: Upstreams) -> None:
    upstreams.close()

    page = surface(linked, "user-dashboard", "&integration=openproject")

    assert page.status == 200
    assert "4 work packages are linked." in page.text
    assert "OpenProject is currently unavailable" in page.text


def test_a_single_item_is_a_chip_with_its_state(linked: FlaskClient, upstreams: Upstreams) -> None:
    live = get(linked, CHIP)
    upstreams.close()
    degraded = get(linked, CHIP)

    assert "#101" in live.text
    assert live.all(".lp-entity-open")
    assert live.all(".lp-entity-status")
    assert "Details unavailable" in degraded.text


def test_an_item_that_is_not_linked_has_no_chip(linked: FlaskClient) -> None:
    assert get(linked, CHIP.replace("=101", "=999")).status == 404
    assert surface(linked, "single-entity").status == 400


def test_an_unknown_surface_is_refused_and_the_detail_page_is_the_tab(linked: FlaskClient) -> None:
    assert surface(linked, "sidebar").status == 400
    assert surface(linked, "detail-page").all("#lp-q")


def test_a_frame_shows_a_surface_with_its_token(linked: FlaskClient, connected: Flask, services: Panel) -> None:
    made = services.embed_apps.create("Cases", ["https://cases.example.org"], by=ALICE)
    token = token_of(made, CASE)

    page = get(connected.test_client(), f"/embed/demo/case/1?surface=app-dashboard&token={token}")

    assert page.texts(".lp-card-foot a") == ["All 4 work packages"]
