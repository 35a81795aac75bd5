"""The wheel is complete, and what it installs works away from the checkout, with and without the extras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from http.client import HTTPConnection
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_docs import free_ports

from panel.core.version import VERSION

ROOT = Path(__file__).parent.parent
LIBRARIES = ("mcp", "psycopg", "redis")
"""What the extras bring."""
ALL = {"extra": "all"}
COMMAND_S = 60


# --- the wheel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    return next(folder.iterdir())


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True, env=environment(), timeout=COMMAND_S)


def environment(**values: str) -> dict[str, str]:
    """This process's environment without settings of the panel and without modules of the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PANEL_", "PYTHONPATH"))}
    return {**kept, **values}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"leafpanel-{VERSION}.dist-info/METADATA").decode("utf-8"))


def files_in(folder: str) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found}


def test_the_wheel_contains_every_file_of_the_package_the_migrations_and_the_templates(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    outside = {f"panel/{name}" for name in files_in("migrations") | files_in("docs/templates")}
    assert packed == files_in("panel") | outside
    assert {Path(name).name for name in packed} >= {
        "leaf.yaml", "messages.po", "openapi.yaml", "sign_in.html", "tab.js", "htmx.min.js", "python.txt",
        "0001_sources_links_people_and_tokens.py", "script.py.mako", "xwiki-openconnector-source.yaml",
    }  # fmt: skip


def test_the_wheel_states_version_and_licence(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("leafpanel", VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == [
        "LICENSE", "panel/static/bootstrap/LICENSE", "panel/static/vendor/htmx/LICENSE",
    ]  # fmt: skip


def requirements_in(text: str) -> dict[str, Requirement]:
    """The requirements of a list, by name; options, comments and hashes are left out."""
    lines = (line.rstrip("\\ ") for line in text.splitlines() if line[:1].isalpha())
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


def test_the_wheel_requires_what_the_requirements_list(metadata: Message) -> None:
    required = [Requirement(text) for text in metadata.get_all("Requires-Dist") or ()]
    core = {canonicalize_name(one.name) for one in required if one.marker is None}
    complete = {canonicalize_name(one.name) for one in required if one.marker is None or one.marker.evaluate(ALL)}

    assert complete == requirements_in((ROOT / "requirements.in").read_text("utf-8")).keys()
    assert complete - core == set(LIBRARIES)


def test_the_pinned_releases_meet_the_lower_bounds_of_the_wheel(metadata: Message) -> None:
    pinned = requirements_in((ROOT / "requirements.txt").read_text("utf-8"))

    for bound in map(Requirement, metadata.get_all("Requires-Dist") or ()):
        (pin,) = pinned[canonicalize_name(bound.name)].specifier
        assert [one.operator for one in bound.specifier] == [">="]
        assert bound.specifier.contains(pin.version), bound


# --- what it installs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """The command ``leafpanel`` of an installed wheel, in a folder that is not the checkout."""

    command: str
    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=COMMAND_S,
        )  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[int]:
        """`leafpanel serve` on a free port, which is yielded as soon as the panel says that it is ready."""
        (port,) = free_ports(1)
        server = subprocess.Popen(
            [self.command, "serve"], cwd=self.folder, stdout=subprocess.PIPE, text=True,
            env={**self.environment, "PANEL_PORT": port, "WEB_CONCURRENCY": "1"},
        )  # fmt: skip
        with server:
            assert server.stdout is not None
            try:
                assert any("Leafpanel is ready" in line for line in server.stdout)
                yield int(port)
            finally:
                server.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``leafpanel`` in a new environment that contains the wheel and sees the libraries of this one."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=True)
    libraries = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (libraries / "tests.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    pip("--python", str(place / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    return str(place / "bin" / "leafpanel")


@pytest.fixture
def installed(command: str, tmp_path: Path) -> Installed:
    return Installed(command, tmp_path, environment())


@pytest.fixture
def core_only(command: str, tmp_path: Path) -> Installed:
    """The same where none of the libraries of the extras can be imported, in child processes too."""
    blocker, folder = tmp_path / "blocker", tmp_path / "folder"
    blocker.mkdir()
    folder.mkdir()
    (blocker / "sitecustomize.py").write_text(f"import sys\n\nsys.modules.update(dict.fromkeys({LIBRARIES}))\n")
    return Installed(command, folder, environment(PYTHONPATH=str(blocker)))


def test_help_lists_the_commands_and_creates_nothing(installed: Installed) -> None:
    helped = installed.run("--help")

    listed = {line.split()[0] for line in helped.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed == {
        "audit", "backup", "connector", "create-database", "db", "doctor", "embed-app", "embed-url", "keys", "mcp",
        "restore", "serve", "source", "token", "user",
    }  # fmt: skip
    assert list(installed.folder.iterdir()) == []


def test_an_installed_panel_keeps_its_data_in_the_current_directory(installed: Installed) -> None:
    upgraded, listed = installed.run("db", "upgrade"), installed.run("source", "list")

    assert upgraded.returncode == 0, upgraded.stderr
    assert (installed.folder / "instance" / "panel.sqlite3").exists()
    assert (listed.returncode, listed.stdout) == (0, "There is no source yet.\n")


def test_an_error_is_one_sentence_that_names_the_command(installed: Installed) -> None:
    listed = installed.run("source", "list")

    assert (listed.returncode, listed.stdout) == (1, "")
    assert listed.stderr == "The database is not set up. Run: leafpanel db upgrade\n"


def test_an_installed_panel_serves_its_pages_and_files_without_the_extras(core_only: Installed) -> None:
    with core_only.serving() as port:
        answers = [status_of(port, path) for path in ("/admin/sign-in", "/static/tab.js", "/api/openapi.json")]

    assert answers == [200, 200, 200]
    assert (core_only.folder / "instance" / "panel.sqlite3").exists()


def status_of(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=COMMAND_S)
    connection.request("GET", path)
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer.status


def test_a_command_that_needs_an_extra_names_it(core_only: Installed) -> None:
    asked = core_only.run("mcp")

    assert asked.returncode == 1
    assert asked.stderr == "MCP needs the library mcp, which is not installed: install leafpanel[mcp].\n"
