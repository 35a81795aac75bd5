"""The objects that point to one item, as far as a visitor may see them."""

from __future__ import annotations

import pytest
from flask import Flask
from support import CASE

from panel.accounts.principal import SCOPES, Limits, Principal
from panel.connector import Caller
from panel.core.domain import ObjectRef
from panel.core.errors import NotFound
from panel.links.service import Links
from panel.links.visitor import Visitor
from panel.services import Panel

OTHER = ObjectRef("demo", "case", "2")
ELSEWHERE = ObjectRef("permits", "case", "1")


@pytest.fixture
def links(connected: Flask, services: Panel, visitor: Visitor) -> Links:
    for obj in (CASE, OTHER, ELSEWHERE):
        services.links.link(visitor, "openproject", obj, "101")
    services.links.link(visitor, "openproject", CASE, "102")
    return services.links


def limited(**limits: object) -> Visitor:
    return Visitor(Principal("host", "embed:a", SCOPES["read"], Limits(**limits)), Caller("test", "host"))  # type: ignore[arg-type]


def test_all_objects_of_an_item_are_found_newest_first(links: Links, visitor: Visitor) -> None:
    found = links.objects_of(visitor, "openproject", "101")

    assert [one.object for one in found.items] == [ELSEWHERE, OTHER, CASE]
    assert found.total == 3
    assert {one.pointer.linked_by for one in found.items} == {"alice"}


def test_a_visitor_sees_the_objects_of_its_registers(links: Links) -> None:
    found = links.objects_of(limited(registers=frozenset({"permits"})), "openproject", "101")

    assert ([one.object for one in found.items], found.total) == ([ELSEWHERE], 1)


def test_a_visitor_of_one_object_sees_no_other(links: Links) -> None:
    here, elsewhere = limited(object=CASE), limited(object=ObjectRef("demo", "case", "9"))

    assert [one.object for one in links.objects_of(here, "openproject", "101").items] == [CASE]
    assert links.objects_of(elsewhere, "openproject", "101").total == 0


def test_an_integration_outside_the_limits_is_not_there(links: Links) -> None:
    with pytest.raises(NotFound):
        links.objects_of(limited(integrations=frozenset({"xwiki"})), "openproject", "101")


def test_more_objects_than_asked_for_are_counted(links: Links, visitor: Visitor) -> None:
    found = links.objects_of(visitor, "openproject", "101", limit=2)

    assert (len(found.items), found.total) == (2, 3)
