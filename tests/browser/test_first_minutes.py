"""From a fresh instance to linked and created things, as a newcomer does it in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

OBJECT = "/objects/demo/case/1"


def test_a_the_object_asks_for_both_connections(sign_in: Callable[[str], Page], running, complaints: list[str]) -> None:
    page = sign_in(OBJECT)

    expect(page.get_by_role("link", name="Configure connection")).to_have_count(2)
    answer = running.json("/objects/demo/case/1/integrations/xwiki")
    assert answer.status_code == 503
    assert answer.json()["message"] == 'OpenConnector source "xwiki" for integration "xwiki" is missing or unreadable.'
    assert complaints == []


def test_b_the_printed_commands_connect_the_sandbox(sign_in: Callable[[str], Page], running) -> None:
    for line in running.imports():
        done = running.shell(line)
        assert done.returncode == 0, done.stderr

    for slug in ("xwiki", "openproject"):
        page = sign_in(f"/admin/sources/{slug}")
        page.get_by_role("button", name="Save and test").click()
        expect(page.get_by_text("All 6 steps passed")).to_be_visible()


def test_c_links_a_page_from_the_picker(sign_in: Callable[[str], Page], running, complaints: list[str]) -> None:
    page = sign_in(f"{OBJECT}/integrations/xwiki")
    box = page.get_by_role("combobox")

    box.fill("Welstandsnota")
    expect(page.get_by_role("option").first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")

    expect(page.get_by_role("link", name=re.compile("Welstandsnota 2024"))).to_be_visible()
    expect(page.get_by_text("Linked").first).to_be_visible()
    assert running.json("/objects/demo/case/1/integrations/xwiki").json()["total"] == 1
    assert complaints == []


def test_d_creates_a_page(sign_in: Callable[[str], Page], running, complaints: list[str]) -> None:
    page = sign_in(f"{OBJECT}/integrations/xwiki")

    page.get_by_text("Create page").first.click()
    page.get_by_label("Space", exact=True).select_option("Sandbox")
    page.get_by_label("Title").fill("Notes of the hearing")
    page.get_by_role("button", name="Create and link").click()

    expect(page.get_by_role("link", name=re.compile("Notes of the hearing"))).to_be_visible()
    assert running.json("/objects/demo/case/1/integrations/xwiki").json()["total"] == 2
    assert complaints == []


def test_e_links_a_work_package_by_its_pasted_address(sign_in: Callable[[str], Page], running) -> None:
    page = sign_in(f"{OBJECT}/integrations/openproject")
    first = running.json("/integrations/openproject/available?search=", "write").json()["results"][0]

    box = page.get_by_role("combobox")
    box.fill(first["url"])
    expect(page.get_by_role("option")).to_have_count(1)
    box.press("Enter")

    expect(page.locator(f"a[href='{first['url']}']").first).to_be_visible()
    assert running.json("/objects/demo/case/1/integrations/openproject").json()["total"] == 1


def test_f_creates_a_work_package_with_a_real_project_and_type(
    sign_in: Callable[[str], Page], running, complaints: list[str]
) -> None:
    page = sign_in(f"{OBJECT}/integrations/openproject")

    page.get_by_text("Create work package").first.click()
    page.get_by_label("Project", exact=True).select_option(label="Vergunningen 2026")
    page.get_by_label("Subject").fill("Ask the fire brigade")
    page.get_by_role("button", name="Create and link").click()

    expect(page.get_by_role("link", name=re.compile("Ask the fire brigade"))).to_be_visible()
    assert running.json("/objects/demo/case/1/integrations/openproject").json()["total"] == 2
    assert complaints == []


def test_g_unlinks_after_a_question_and_leaves_the_upstream_alone(sign_in: Callable[[str], Page], running) -> None:
    page = sign_in(f"{OBJECT}/integrations/openproject")
    row = page.get_by_role("listitem").filter(has_text="Ask the fire brigade")

    row.locator("summary[aria-label^='More for']").click()
    row.get_by_text("Unlink …").click()
    expect(row.get_by_text("The work package stays in OpenProject.")).to_be_visible()
    row.get_by_role("button", name="Unlink", exact=True).click()

    expect(page.get_by_role("link", name=re.compile("Ask the fire brigade"))).to_have_count(0)
    found = running.json("/integrations/openproject/available?search=fire%20brigade", "write").json()["results"]
    assert [row["title"] for row in found] == ["Ask the fire brigade"]


def test_h_a_wrong_password_is_said_in_the_tab(sign_in: Callable[[str], Page], running) -> None:
    line = next(line for line in running.imports() if "xwiki" in line)
    assert running.shell(f"{line} --set auth.password=wrong").returncode == 0
    try:
        page = sign_in(f"{OBJECT}/integrations/xwiki")

        expect(page.get_by_text("xWiki authentication failed")).to_be_visible()
        expect(page.get_by_text("2 linked pages")).to_be_visible()
        assert running.flask("source", "test", "xwiki").returncode == 1
    finally:
        running.shell(line)


def test_i_everything_works_without_javascript(running, browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{running.url}{OBJECT}/integrations/openproject")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("a password for the tests")
    page.get_by_role("button", name="Sign in").click()

    page.get_by_label(re.compile("Link a work package")).fill("brandweer")
    page.get_by_label(re.compile("Link a work package")).press("Enter")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Link selected").click()

    expect(page.get_by_role("link", name=re.compile("Advies brandweer opvragen"))).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    "path",
    [
        f"{OBJECT}/integrations/xwiki",
        f"{OBJECT}/integrations/openproject",
        "/admin/",
        "/admin/sources/xwiki",
        "/admin/audit",
    ],
)
@pytest.mark.parametrize(("width", "scheme"), [(1140, "light"), (320, "light"), (1140, "dark")])
def test_j_pages_are_accessible_and_never_scroll_sideways(
    sign_in: Callable[[str], Page], path: str, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = sign_in(path)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
