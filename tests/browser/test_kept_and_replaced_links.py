"""Links that are replaced, restored and annotated in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from test_lists import TRACKER, World, tab, world  # noqa: F401 (fixtures)

pytestmark = pytest.mark.browser


def gone_row(page: Page) -> Any:
    return page.locator(".lp-row-gone")


def hide_first(world: World) -> None:  # noqa: F811
    world.tracker.hide(sorted(world.tracker.world.work_packages)[-1])


def test_a_gone_work_package_is_replaced_in_one_step_and_undone(
    world: World,  # noqa: F811
    tab: Callable[..., Page],  # noqa: F811
) -> None:
    hide_first(world)
    page = tab(f"{TRACKER}?state=gone")
    gone_row(page).get_by_role("link", name="Choose another work package").click()
    expect(page.locator("#lp-q")).to_be_focused()
    page.locator("#lp-q").fill("101")
    expect(page.locator("#lp-options [role=option]").first).to_be_visible()
    page.keyboard.press("Enter")

    expect(page.locator(".lp-banner")).to_contain_text("Link updated Replace the north bridge")
    expect(gone_row(page)).to_have_count(0)
    expect(page.locator(".lp-summary")).to_have_text("62 work packages: 62 open, 20 overdue")
    page.get_by_role("button", name="Undo").click()
    expect(gone_row(page)).to_have_count(1)
    expect(page.locator("#lp-status")).to_have_text("Undone.")


def test_an_unlinked_work_package_comes_back_with_its_note(tab: Callable[..., Page]) -> None:  # noqa: F811
    page = tab(f"{TRACKER}?find=d61")
    page.locator(".lp-drawer > summary").click()
    page.get_by_label("Note", exact=True).fill("See the annex")
    page.get_by_role("button", name="Write note").click()
    expect(page.locator(".lp-note")).to_have_text("Note: See the annex")
    expect(page.locator("#lp-status")).to_have_text("Note saved.")

    page.locator(".lp-drawer > summary").click()
    page.locator(".lp-unlink > summary").click()
    page.get_by_role("button", name="Unlink", exact=True).click()
    expect(page.locator(".lp-row")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".lp-note")).to_have_text("Note: See the annex")


def test_escape_closes_a_drawer_and_gives_the_focus_back(tab: Callable[..., Page]) -> None:  # noqa: F811
    page = tab(f"{TRACKER}?find=d61")
    page.locator(".lp-drawer > summary").click()
    page.get_by_label("Note", exact=True).focus()
    page.keyboard.press("Escape")

    expect(page.locator(".lp-drawer[open]")).to_have_count(0)
    expect(page.locator(".lp-drawer > summary")).to_be_focused()


def test_a_drawer_has_at_most_one_primary_button(tab: Callable[..., Page]) -> None:  # noqa: F811
    page = tab(f"{TRACKER}?find=d61")
    page.locator(".lp-drawer > summary").click()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
    page.locator(".lp-unlink > summary").click()

    expect(page.locator(".lp-drawer .btn-primary:visible")).to_have_count(1)


@pytest.mark.parametrize(("width", "theme"), [(320, "dark"), (1200, "light")])
def test_an_open_drawer_is_accessible_and_fits(
    world: World,  # noqa: F811
    tab: Callable[..., Page],  # noqa: F811
    width: int,
    theme: str,
) -> None:
    page = tab(f"{TRACKER}?find=d61&theme={theme}")
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".lp-drawer > summary").click()
    expect(page.get_by_label("Note", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []
