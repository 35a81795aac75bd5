"""OpenProject under an outer address for people and an inner one for the panel: the whole job in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserType, Page, expect
from served import ROOT, served

from panel.sandbox.openproject import OAUTH_CLIENT, OAUTH_SECRET, OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted

pytestmark = pytest.mark.browser

HOST = "projects.example.test"
OUTER = f"http://{HOST}/openproject"
PASSWORD = "a password for the tests"
TAB = "/objects/demo/case/1/integrations/openproject"


@dataclass
class Site:
    """The panel, and an OpenProject that refuses every host name but its outer one."""

    panel: str
    inner: str
    tracker: OpenProjectStandIn


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tracker = OpenProjectStandIn(seed="demo")
    tracker.hosts = frozenset({HOST})
    server = RunningServer(mounted(openproject=tracker))
    with served(tmp_path, PANEL_ALLOWED_PRIVATE_HOSTS=server.host_port) as panel:
        environ = {**os.environ, "PANEL_INSTANCE_DIR": str(tmp_path / "instance")}
        make = ["-m", "flask", "--app", "wsgi", "user", "create", "alice", "--admin", "--password-stdin"]
        subprocess.run([sys.executable, *make], cwd=ROOT, env=environ, input=f"{PASSWORD}\n", text=True, check=True)
        yield Site(f"http://127.0.0.1:{panel.port}", server.host_port, tracker)
    server.close()


@pytest.fixture
def page(browser_type: BrowserType, browser_type_launch_args: dict[str, Any], site: Site) -> Iterator[Page]:
    """A browser for which the outer name leads to the inner address, as a proxy would."""
    mapped = f"--host-resolver-rules=MAP {HOST} {site.inner}"
    arguments = {**browser_type_launch_args, "args": [*browser_type_launch_args["args"], mapped]}
    browser = browser_type.launch(**arguments)
    yield browser.new_page()
    browser.close()


def sign_in(page: Page, site: Site, path: str) -> None:
    page.goto(f"{site.panel}{path}")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.panel}{path}")


def connect(page: Page, site: Site) -> None:
    """Enter the source, and give it access on OpenProject's own page."""
    page.locator("#location").fill(OUTER)
    page.locator("[id='auth.oauth2']").check()
    page.locator("[id='auth.oauth2.authorization_code']").check()
    page.locator("[name='auth.oauth2.clientId']").fill(OAUTH_CLIENT)
    page.locator("[name='auth.oauth2.secret']").fill(OAUTH_SECRET)
    page.get_by_text("More settings").click()
    page.get_by_label("Connect to").fill(site.inner)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.wait_for_url(re.compile(f"{re.escape(OUTER)}/oauth/authorize"))
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("All 6 steps passed")).to_be_visible()


def addresses(page: Page) -> list[str]:
    """The addresses of all links that lead out of the panel."""
    found: list[str] = page.eval_on_selector_all("a[href^='http']", "links => links.map(link => link.href)")
    return found


def test_the_whole_job_with_one_address_outside_and_another_inside(page: Page, site: Site) -> None:
    sign_in(page, site, "/admin/sources/openproject")
    connect(page, site)
    expect(page.get_by_text(f"Connections for {HOST} go to {site.inner}")).to_be_visible()

    page.goto(f"{site.panel}{TAB}")
    box = page.get_by_role("combobox").first
    box.fill("brandweer")
    expect(page.get_by_role("option").first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")
    linked = page.get_by_role("link", name=re.compile("Advies brandweer opvragen"))
    expect(linked).to_be_visible()
    page.get_by_text("Create work package").first.click()
    page.get_by_label("Project", exact=True).select_option(label="Vergunningen 2026")
    page.get_by_label("Subject").fill("Ask the fire brigade")
    page.get_by_role("button", name="Create and link").click()
    created = page.get_by_role("link", name=re.compile("Ask the fire brigade"))
    expect(created).to_be_visible()

    assert all(address.startswith((f"{OUTER}/", f"{site.panel}/")) for address in addresses(page)), addresses(page)
    assert site.inner not in page.content()
    page.goto(str(created.get_attribute("href")))
    expect(page.get_by_text("Ask the fire brigade").first).to_be_visible()
    assert page.url.startswith(f"{OUTER}/work_packages/")
    assert {request.headers["host"] for request in site.tracker.requests} == {HOST}
