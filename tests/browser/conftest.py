"""A running panel with its sandbox, as `make run` starts it, and Debian's Chromium to look at it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

expect.set_options(timeout=20_000)

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "a password for the tests"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
    return {**browser_type_launch_args, "executable_path": "/usr/bin/chromium", "args": arguments}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """A panel started by its own command, and the commands that work beside it."""

    url: str
    sandbox: str
    printed: str
    environ: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    """One API token of each scope that was asked for."""

    def flask(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *words]
        return subprocess.run(
            command, cwd=ROOT, env=self.environ, input=stdin, capture_output=True, text=True, timeout=60
        )

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        line = line.replace(".venv/bin/flask", f"{sys.executable} -m flask")
        return subprocess.run(line, shell=True, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=60)

    def token(self, scope: str) -> dict[str, str]:
        if scope not in self.tokens:
            made = self.flask("token", "create", "test", "--scope", scope, "--json")
            self.tokens[scope] = json.loads(made.stdout)["token"]
        return {"Authorization": f"Bearer {self.tokens[scope]}"}

    def json(self, path: str, scope: str = "read") -> requests.Response:
        return requests.get(f"{self.url}/api{path}", headers=self.token(scope), timeout=30)

    def imports(self) -> list[str]:
        """The import commands that it printed, one per line."""
        return [line.strip() for line in self.printed.splitlines() if "source import" in line]


@contextmanager
def _started(folder: Path, url: str = "", **settings: str) -> Iterator[Running]:
    """A panel with its sandbox, which browsers reach under ``url``, and Alice, who administers it."""
    port, sandbox = free_port(), free_port()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PANEL_")}
    environ = {
        **kept,
        "PANEL_INSTANCE_DIR": str(folder / "instance"),
        "PANEL_PORT": str(port),
        "PANEL_SANDBOX_PORT": str(sandbox),
        **settings,
    }
    command = [sys.executable, "-m", "panel", "--sandbox"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        printed = _until_ready(process)
        panel = Running(url or f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox}", printed, environ)
        panel.flask("user", "create", "alice", "--admin", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield panel
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def start_panel(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Running]]:
    """Start a panel of one's own: ``url`` if it differs from the one it listens on, and settings."""
    return lambda url="", **settings: _started(tmp_path_factory.mktemp("panel"), url, **settings)


@pytest.fixture(scope="module")
def running(start_panel: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    with start_panel() as panel:
        yield panel


def _until_ready(process: subprocess.Popen[str]) -> str:
    """What it prints, up to the last import command."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if len([found for found in lines if "source import" in found]) == 2:
            return "".join(lines)
    raise AssertionError("the panel did not start:\n" + "".join(lines))


@pytest.fixture
def sign_in(page: Page, running: Running) -> Callable[[str], Page]:
    """Sign Alice in on the way to a path of the panel."""

    def go(path: str) -> Page:
        page.goto(f"{running.url}{path}")
        if "/admin/sign-in" in page.url:
            page.get_by_label("Name").fill("alice")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(re.compile(re.escape(path.split("?")[0])))
        return page

    return go


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser's console complains about: scripts that failed, policies that were broken."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console", lambda line: found.append(line.text) if line.type == "error" and "503" not in line.text else None
    )
    return found
