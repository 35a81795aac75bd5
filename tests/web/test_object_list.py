"""The list of objects with links: search, filter by integration, pages, and the form that opens any object."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient

from panel.links.object_list import PAGE_SIZE
from panel.storage.engine import db
from panel.storage.models import Link


def store(app: Flask, *pointers: tuple[str, str]) -> None:
    """Pointers of objects ``register/schema/id``, each from an integration."""
    with app.app_context():
        for number, (reference, integration) in enumerate(pointers):
            register, schema, object_id = reference.split("/")
            db.session.add(
                Link(register=register, schema=schema, object_id=object_id, integration=integration,
                     reference=f"r{number}", linked_by="dana")
            )  # fmt: skip
        db.session.commit()


def listed(client: FlaskClient, query: str = "") -> Sequence[str]:
    page = client.get(f"/admin/objects{query}")
    assert page.status_code == 200
    return re.findall(r'<th scope="row"><a href="/objects/([^"]+)"', page.text)


@pytest.fixture
def some(app: Flask) -> Flask:
    store(
        app,
        ("permits/case/Z-2026-1", "xwiki"),
        ("permits/case/Z-2026-2", "openproject"),
        ("objections/case/B_1", "xwiki"),
    )
    return app


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("2026 PERM", ["permits/case/Z-2026-1", "permits/case/Z-2026-2"]),
        ("permits/case", ["permits/case/Z-2026-1", "permits/case/Z-2026-2"]),
        ("b_1", ["objections/case/B_1"]),
        ("_-", []),
        ("%", []),
        ("2026 objections", []),
    ],
)
def test_every_word_stands_in_the_reference(some: Flask, as_admin: FlaskClient, query: str, found: list[str]) -> None:
    assert listed(as_admin, f"?text={query.replace('%', '%25')}") == found


def test_the_list_is_limited_to_one_integration(some: Flask, as_admin: FlaskClient) -> None:
    assert listed(as_admin, "?integration=openproject") == ["permits/case/Z-2026-2"]
    assert listed(as_admin, "?integration=xwiki&text=permits") == ["permits/case/Z-2026-1"]


def test_no_hit_is_said_with_a_way_back(some: Flask, as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/objects?text=nothing").text

    assert "No object fits" in page
    assert '<a href="/admin/objects">Show all objects</a>' in page


def test_the_list_has_pages_and_says_which_part_it_shows(app: Flask, as_admin: FlaskClient) -> None:
    store(app, *[(f"r/s/{number:03}", "xwiki") for number in range(PAGE_SIZE + 2)])

    first, second = as_admin.get("/admin/objects?text=r").text, as_admin.get("/admin/objects?text=r&page=2").text

    assert f"1–{PAGE_SIZE} of {PAGE_SIZE + 2}" in first
    assert 'rel="next" href="/admin/objects?text=r&amp;page=2"' in first
    assert f"{PAGE_SIZE + 1}–{PAGE_SIZE + 2} of {PAGE_SIZE + 2}" in second
    assert 'rel="prev" href="/admin/objects?text=r&amp;page=1"' in second
    assert 'rel="next"' not in second
    assert len(listed(as_admin, "?page=2")) == 2


@pytest.mark.parametrize("page", ["0", "-1", "x", "999999", "9" * 40, ""])
def test_a_page_that_is_not_there_is_no_failure(some: Flask, as_admin: FlaskClient, page: str) -> None:
    assert as_admin.get(f"/admin/objects?page={page}").status_code == 200


def test_the_source_leads_to_the_objects_that_use_it(connected: Flask, as_admin: FlaskClient) -> None:
    store(connected, ("permits/case/1", "xwiki"), ("permits/case/2", "openproject"))

    assert '<a href="/admin/objects?integration=xwiki">1 on 1 object</a>' in as_admin.get("/admin/sources/xwiki").text


def test_the_form_explains_each_part_and_leads_to_an_example(as_admin: FlaskClient) -> None:
    page = as_admin.get("/admin/objects").text

    for name in ("register", "schema", "object_id"):
        assert re.search(rf'id="{name}"[^>]*placeholder="[^"]+"[^>]*aria-describedby="{name}-help"', page)
    assert '<a class="btn btn-outline-secondary" href="/objects/demo/case/1">Open an example object</a>' in page


def test_the_tab_of_a_person_names_the_object_and_leads_back(as_admin: FlaskClient) -> None:
    page = as_admin.get("/objects/permits/case/Z-1").text

    assert '<a href="/admin/objects">Objects</a> <span aria-current="location">permits / case / Z-1</span>' in page
