"""The whole job below a path, behind a real nginx that strips the path or passes it on."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect
from servers import needed

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PATH = "/leafpanel"
START_S = 30
Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name

NGINX = """\
daemon off; pid {folder}/nginx.pid; error_log {folder}/main.log;
{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {path}/ {{
            proxy_pass http://127.0.0.1:{panel_port}{target};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location / {{ return 404 "the host's own page"; }}
        location = /host {{ default_type text/html; root {folder}; try_files /host.html =404; }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Front:
    panel: Running
    folder: Path

    def outside(self) -> list[str]:
        """The requests that left the path, without those that browsers make by themselves."""
        lines = (self.folder / "access.log").read_text("utf-8").splitlines()
        asked = [re.search(r'"[A-Z]+ (\S+) HTTP', line) for line in lines]
        paths = [found[1] for found in asked if found]
        return [path for path in paths if not path.startswith(f"{PATH}/") and path not in ("/host", "/favicon.ico")]


@contextmanager
def _nginx(folder: Path, port: int, panel_port: int, target: str) -> Iterator[None]:
    user = "user root;" if os.getuid() == 0 else ""
    text = NGINX.format(folder=folder, user=user, port=port, panel_port=panel_port, path=PATH, target=target)
    (folder / "nginx.conf").write_text(text)
    program = needed("nginx", Path("/usr/sbin/nginx"))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/host", timeout=5)
            return
        except requests.ConnectionError:
            assert process.poll() is None, "nginx ended by itself"
            assert time.monotonic() < end, "nginx did not start"
            time.sleep(0.05)


@pytest.fixture(scope="module", params=["", "/"], ids=["passed on", "stripped"])
def front(
    request: pytest.FixtureRequest,
    start_panel: Callable[..., AbstractContextManager[Running]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    url = f"http://127.0.0.1:{port}{PATH}"
    started = start_panel(url, PANEL_PUBLIC_URL=url, PANEL_TRUSTED_PROXIES="1")
    with started as panel, _nginx(folder, port, int(panel.environ["PANEL_PORT"]), request.param):
        for line in panel.imports():
            assert panel.shell(line).returncode == 0
        yield Front(panel, folder)


def _sign_in(page: Page, url: str, path: str) -> None:
    page.goto(f"{url}{path}")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("a password for the tests")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}{path}")


def test_a_person_signs_in_links_creates_and_unlinks_below_the_path(
    front: Front, page: Page, complaints: list[str]
) -> None:
    url = front.panel.url
    _sign_in(page, url, "/objects/demo/case/1/integrations/openproject")

    box = page.get_by_role("combobox")
    box.fill("1528")
    expect(page.get_by_role("option")).to_have_count(1)
    box.press("Enter")
    expect(page.locator(".lp-row")).to_have_count(1)
    page.locator(".lp-row summary").first.click()
    page.get_by_text("Unlink …").click()
    page.get_by_role("button", name="Unlink").click()
    expect(page.locator(".lp-row")).to_have_count(0)

    page.goto(f"{url}/objects/demo/case/1/integrations/xwiki/new")
    expect(page.get_by_label("Title")).to_be_visible()

    page.goto(f"{url}/admin/")
    for name in ("Sources", "Calls", "Audit", "People"):
        link = page.get_by_role("navigation").get_by_role("link", name=name)
        if link.count():
            link.first.click()
            expect(page.locator("h1")).to_be_visible()
            assert page.url.startswith(f"{url}/admin/")
    assert complaints == []
    assert front.outside() == []


def test_a_page_of_another_application_embeds_the_tab_below_the_path(front: Front, page: Page) -> None:
    panel = front.panel
    origin = panel.url.removesuffix(PATH).replace("127.0.0.1", "localhost")
    made = panel.flask("embed-app", "create", "Cases", "--origin", origin, "--json")
    assert made.returncode == 0, made.stderr
    rights = ["--can", "view", "--can", "link", "--can", "unlink"]
    address = panel.flask("embed-url", "demo", "case", "2", "--app", "Cases", *rights).stdout.strip()
    assert address.startswith(f"{panel.url}/embed/demo/case/2?token=")
    script = f'<script src="{panel.url}/static/embed.js"></script>'
    start = f"Leafpanel.embed(document.getElementById('here'), {{ url: async () => {json.dumps(address)} }})"
    page_of_host = f"<!doctype html><title>host</title><div id=here></div>{script}<script>{start}</script>"
    (front.folder / "host.html").write_text(page_of_host)

    page.goto(f"{origin}/host")
    tab = page.frame_locator("iframe")
    box = tab.get_by_role("combobox")
    box.fill("welstand")
    expect(tab.get_by_role("option").first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")
    expect(tab.locator(".lp-row")).to_have_count(1)
    assert front.outside() == []


def test_programs_use_json_and_the_tool_below_the_path(front: Front) -> None:
    panel = front.panel
    known = panel.token("write")
    path = "/api/objects/demo/case/3/integrations/openproject"
    linked = requests.post(f"{panel.url}{path}", json={"reference": "1512"}, headers=known, timeout=30)
    listed = requests.get(f"{panel.url}{path}", headers=known, timeout=30)
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepted = {"Accept": "application/json, text/event-stream"}
    tools = requests.post(f"{panel.url}/api/mcp", json=asked, headers=known | accepted, timeout=30)
    document = requests.get(f"{panel.url}/api/openapi.json", timeout=30).json()

    assert (linked.status_code, listed.status_code, listed.json()["total"]) == (201, 200, 1)
    assert tools.json()["result"]["tools"][0]["name"] == "openregister.integrations"
    assert document["servers"][0]["url"].startswith(panel.url)


def test_addresses_that_the_panel_gives_begin_with_the_path(front: Front) -> None:
    url = front.panel.url
    redirected = requests.get(f"{url}/objects/demo/case/1", allow_redirects=False, timeout=30)
    slash = requests.get(f"{url}/admin", allow_redirects=False, timeout=30)

    assert redirected.headers["Location"] == f"{PATH}/admin/sign-in?next={PATH}/objects/demo/case/1"
    assert urlsplit(slash.headers["Location"]).path == f"{PATH}/admin/"
