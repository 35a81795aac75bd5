"""What the documents say is so: their commands run and print what they show, their links lead somewhere,
and every setting and command has its place in them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from flask import Flask

from panel.config import SETTINGS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
OPERATIONS = ROOT / "docs" / "operations.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"^\[exit (\d+)\]$")
READY_S, COMMAND_S = 60, 60


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- reading the documents -------------------------------------------------------------------------------------------


@dataclass
class Command:
    """One line after ``$``, the output that the document shows below it, and the exit that it states."""

    text: str
    shown: list[str] = field(default_factory=list)
    exit: int = 0


def commands_in(path: Path) -> list[Command]:
    """The commands of all console blocks, in order; ``\\`` at the end of a line carries a command on."""
    found: list[Command] = []
    for language, block in FENCE.findall(path.read_text("utf-8")):
        if language == "console":
            found += _commands(block.splitlines())
    return found


def _commands(lines: list[str]) -> Iterator[Command]:
    current: Command | None = None
    for line in lines:
        if current is not None and current.text.endswith("\\"):
            current.text = current.text[:-1].rstrip() + " " + line.strip()
        elif line.startswith("$ "):
            if current is not None:
                yield current
            current = Command(line[2:])
        else:
            assert current is not None, f"output before any command: {line}"
            stated = EXIT.match(line)
            current.exit = int(stated[1]) if stated else current.exit
            current.shown += [] if stated else [line]
    if current is not None:
        yield current


def shows(shown: list[str], printed: str) -> bool:
    """Whether ``shown`` occurs in what was printed; ``…`` stands for anything, also for whole lines."""
    pattern = ".*?".join(re.escape(part) for part in "\n".join(shown).strip().split("…"))
    return re.search(pattern, printed, re.DOTALL) is not None


WITH_COMMANDS = [path for path in DOCUMENTS if commands_in(path)]


# --- a panel as `make run` starts it ---------------------------------------------------------------------------------


@dataclass
class Running:
    """A checkout with an instance of its own, `make run` in it, and a shell that stands there."""

    folder: Path
    environment: Mapping[str, str]
    ports: Mapping[str, str]
    """The ports that the documents name, and the free ones that stand in for them."""
    printed: str = ""

    def here(self, text: str) -> str:
        return re.sub("|".join(self.ports), lambda match: self.ports[match[0]], text)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    panel_port, sandbox_port = free_ports(2)
    place = checkout(tmp_path / "checkout")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PANEL_")},
        "PANEL_INSTANCE_DIR": str(place / "instance"),
        "PANEL_PORT": panel_port,
        "PANEL_SANDBOX_PORT": sandbox_port,
    }
    log = place / "make-run.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "panel", "--sandbox"], cwd=place, env=environment, stdout=out, stderr=out
        )
    try:
        wait_until_ready(server, log)
        yield Running(place, environment, {"8000": panel_port, "8001": sandbox_port}, log.read_text("utf-8"))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def checkout(place: Path) -> Path:
    """The project as a reader has it, with an empty instance folder and this interpreter as its environment."""
    place.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".venv", "instance", ".git"):
            (place / entry.name).symlink_to(entry)
    (place / ".venv").symlink_to(sys.prefix)
    return place


def free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while "Leafpanel is ready" not in log.read_text("utf-8"):
        assert server.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < end, log.read_text("utf-8")
        time.sleep(0.05)


class Shell:
    """One bash for a whole document, so that a variable which one block sets is there in the next."""

    END = "end-of-command"

    def __init__(self, running: Running) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-o", "pipefail"], cwd=running.folder, env=running.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[str, int]:
        """What a command printed, and its exit."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null; ended=$?; echo; echo {self.END} $ended\n")
        self._bash.stdin.flush()
        printed: list[str] = []
        patience = threading.Timer(COMMAND_S, self._bash.kill)
        patience.start()
        try:
            for line in self._bash.stdout:
                if line.startswith(self.END):
                    return "".join(printed), int(line.split()[1])
                printed.append(line)
        finally:
            patience.cancel()
        raise AssertionError(f"{command}\ndid not end:\n{''.join(printed)}")

    def close(self) -> None:
        self._bash.kill()
        self._bash.communicate()


@pytest.fixture
def shell(running: Running) -> Iterator[Shell]:
    opened = Shell(running)
    yield opened
    opened.close()


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="the documents use curl and bash")
@pytest.mark.parametrize("document", WITH_COMMANDS, ids=named)
def test_commands_of_a_document_do_what_it_shows(document: Path, running: Running, shell: Shell) -> None:
    for command in commands_in(document):
        printed, exit_code = shell.run(running.here(command.text))

        assert exit_code == command.exit, f"{command.text}\n{printed}"
        assert shows([running.here(line) for line in command.shown], printed), f"{command.text}\n{printed}"


def test_the_walk_through_uses_the_commands_that_make_run_prints(running: Running) -> None:
    printed = {" ".join(line.split()) for line in running.printed.splitlines() if "source import" in line}

    walked = {" ".join(c.text.split()) for c in commands_in(ROOT / "README.md") if "source import" in c.text}

    assert {running.here(text) for text in walked} == printed


def test_make_run_says_where_to_go_and_how_to_sign_in(running: Running) -> None:
    for words in ("/admin/", "/objects/demo/case/1", "one-time password", "token create"):
        assert words in running.printed


# --- links and names -------------------------------------------------------------------------------------------------


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text("utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document

        assert path.exists(), target
        assert not anchor or anchor in anchors_of(path), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    for name in re.findall(r"`((?:panel|tests|docs|migrations|benchmarks)/[\w./-]*)`", document.read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_every_document_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", (ROOT / "README.md").read_text("utf-8")))

    assert linked == {named(path) for path in (ROOT / "docs").glob("*.md")}


# --- settings and commands -------------------------------------------------------------------------------------------


def settings_table() -> dict[str, str]:
    """Name and default of each row of the table of settings."""
    return dict(re.findall(r"^\| `(PANEL_\w+)` \| `?([^|`]*?)`? \|", OPERATIONS.read_text("utf-8"), re.MULTILINE))


def test_every_setting_is_documented_with_its_default() -> None:
    assert settings_table() == {setting.name: setting.default for setting in SETTINGS}


def test_every_setting_that_a_document_names_exists() -> None:
    known = {setting.name for setting in SETTINGS}
    known |= {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}

    for document in DOCUMENTS:
        assert set(re.findall(r"\bPANEL_[A-Z_]*[A-Z]\b", document.read_text("utf-8"))) <= known, named(document)


def own_commands(app: Flask) -> Iterator[str]:
    for name, command in app.cli.commands.items():
        if command.callback is not None and command.callback.__module__.startswith("flask_alembic"):
            continue
        if isinstance(command, click.Group):
            if name != "db":
                yield from (f"{name} {sub}" for sub in command.commands)
        else:
            yield name


def test_every_command_is_documented(app: Flask) -> None:
    commands, text = [*own_commands(app), "db upgrade"], OPERATIONS.read_text("utf-8")

    documented = [name for name in commands if re.search(rf"^\| `{name}\b", text, re.MULTILINE)]

    assert documented == commands


def test_every_command_that_a_document_runs_exists(app: Flask) -> None:
    known = {*own_commands(app), "db upgrade"}

    for document in DOCUMENTS:
        for words in re.findall(r"flask --app wsgi ([a-z-]+(?: [a-z]+)?)", document.read_text("utf-8")):
            assert words in known or words.split()[0] in known, f"{named(document)}: {words}"
