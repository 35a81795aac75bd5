"""What the documents say is so: their commands run and print what they show, their links lead somewhere,
and every setting and command has its place in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import click
import pytest
from applications import REGISTRY, Applications
from flask import Flask
from support import CONSOLE

from panel import create_app
from panel.config import SETTINGS
from panel.sandbox import note
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn

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


# --- a panel to run the commands against ------------------------------------------------------------------------------


@dataclass
class Running:
    """A checkout with an instance of its own, and a panel and a sandbox that use it."""

    folder: Path
    environment: Mapping[str, str]
    ports: Mapping[str, str]
    """The ports that the documents name, and the free ones that stand in for them."""
    printed: str = ""

    def here(self, text: str) -> str:
        return re.sub("|".join(self.ports), lambda match: self.ports[match[0]], text)


def prepared(folder: Path) -> Running:
    """The project as a reader has it, with an empty instance folder and free ports; nothing runs yet."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in (".venv", "instance", ".git"):
            (folder / entry.name).symlink_to(entry)
    panel_port, sandbox_port = free_ports(2)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PANEL_")},
        "PANEL_INSTANCE_DIR": str(folder / "instance"),
        "PANEL_PORT": panel_port,
        "PANEL_SANDBOX_PORT": sandbox_port,
    }
    return Running(folder, environment, {"8000": panel_port, "8001": sandbox_port})


def free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The processes that `make run` starts; `.venv` is the environment of this interpreter."""
    running = prepared(tmp_path_factory.mktemp("make-run") / "checkout")
    (running.folder / ".venv").symlink_to(sys.prefix)
    log = running.folder / "make-run.log"
    command = [sys.executable, "-m", "panel", "--sandbox"]
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=running.folder, env=running.environment, stdout=out, stderr=out)
    try:
        wait_until_ready(server, log)
        running.printed = log.read_text("utf-8")
        yield running
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while "Leafpanel is ready" not in log.read_text("utf-8"):
        assert server.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < end, log.read_text("utf-8")
        time.sleep(0.05)


COMMAND_CLIENT = """\
#!{python} -IS
# Sends a flask command to the test process, which runs it, and prints what it printed.
import json, os, socket, sys
request = {{"words": sys.argv[1:], "environment": dict(os.environ), "stdin": sys.stdin.read()}}
with socket.create_connection(("127.0.0.1", {port})) as connection, connection.makefile("rw") as file:
    file.write(json.dumps(request) + "\\n")
    file.flush()
    response = json.loads(file.readline())
if os.path.sameopenfile(1, 2):
    sys.stdout.write(response["output"])
else:
    sys.stdout.write(response["stdout"])
    sys.stderr.write(response["stderr"])
sys.exit(response["exit"])
"""


class CommandHandler(socketserver.StreamRequestHandler):
    """Runs a flask command in this process, as `flask --app wsgi` does it in one of its own."""

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        option, module, *words = request["words"]
        assert (option, module) == ("--app", "wsgi")
        with mock.patch.dict(os.environ, request["environment"], clear=True):
            result = create_app().test_cli_runner().invoke(args=words, input=request["stdin"])
        assert isinstance(result.exception, SystemExit | None), result.exception
        printed = {"output": result.output, "stdout": result.stdout, "stderr": result.stderr}
        response = {**printed, "exit": result.exit_code}
        self.wfile.write(json.dumps(response).encode() + b"\n")


@pytest.fixture
def in_process(tmp_path: Path, applications: Applications, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Panel, sandbox and flask commands in this process, since each process costs a second."""
    running = prepared(tmp_path / "checkout")
    panel_port, sandbox_port = (int(running.environment[name]) for name in ("PANEL_PORT", "PANEL_SANDBOX_PORT"))
    settings = {name: value for name, value in running.environment.items() if name.startswith("PANEL_")}
    app = applications.build_own(running.folder / "instance", REGISTRY, settings)
    with app.app_context():
        app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE)
    monkeypatch.chdir(running.folder)
    with ExitStack() as stack:
        sandbox = mounted(xwiki=XWikiStandIn("18", seed="demo"), openproject=OpenProjectStandIn(seed="demo"))
        for served, port in ((sandbox, sandbox_port), (app, panel_port)):
            stack.callback(RunningServer(served, port).close)
        note.write(app.extensions["leafpanel"].config.sandbox_note, f"127.0.0.1:{sandbox_port}")
        commands = stack.enter_context(socketserver.TCPServer(("127.0.0.1", 0), CommandHandler))
        threading.Thread(target=commands.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        stack.callback(commands.shutdown)
        flask = running.folder / ".venv" / "bin" / "flask"
        flask.parent.mkdir(parents=True)
        flask.write_text(COMMAND_CLIENT.format(python=sys.executable, port=commands.server_address[1]), "utf-8")
        flask.chmod(0o755)
        yield running


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


def run_commands(document: Path, running: Running) -> None:
    with closing(Shell(running)) as shell:
        for command in commands_in(document):
            printed, exit_code = shell.run(running.here(command.text))

            assert exit_code == command.exit, f"{command.text}\n{printed}"
            assert shows([running.here(line) for line in command.shown], printed), f"{command.text}\n{printed}"


# --- commands --------------------------------------------------------------------------------------------------------

README = ROOT / "README.md"
NEEDS_CURL = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


@NEEDS_CURL
def test_commands_of_the_readme_do_what_it_shows(make_run: Running) -> None:
    run_commands(README, make_run)


@NEEDS_CURL
@pytest.mark.parametrize("document", [path for path in WITH_COMMANDS if path != README], ids=named)
def test_commands_of_a_document_do_what_it_shows(document: Path, in_process: Running) -> None:
    run_commands(document, in_process)


def test_the_walk_through_uses_the_commands_that_make_run_prints(make_run: Running) -> None:
    printed = {" ".join(line.split()) for line in make_run.printed.splitlines() if "source import" in line}

    walked = {" ".join(c.text.split()) for c in commands_in(README) if "source import" in c.text}

    assert {make_run.here(text) for text in walked} == printed


def test_make_run_says_where_to_go_and_how_to_sign_in(make_run: Running) -> None:
    for words in ("/admin/", "/objects/demo/case/1", "one-time password", "token create"):
        assert words in make_run.printed


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


# --- security --------------------------------------------------------------------------------------------------------

SECURITY = ROOT / "docs" / "security.md"
NAMED_FILE = re.compile(r"`((?:panel|tests|docs)/[\w./]+)`")


def promises_in(section: str) -> set[str]:
    return set(re.findall(r"^\| ([^|]+?\.) \|", section, re.MULTILINE))


def test_every_promise_names_what_holds_it() -> None:
    section = SECURITY.read_text("utf-8").partition("## Promises")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]

    assert promises_in(OPERATIONS.read_text("utf-8").partition("## What holds")[2]) <= promises_in(section)
    assert [row for row in rows if "`tests/" not in row] == []


def test_every_held_requirement_names_what_holds_it() -> None:
    rows = re.findall(r"^\| [\d.,– ]+ \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", SECURITY.read_text("utf-8"), re.MULTILINE)

    assert len(rows) > 100
    assert {state for state, _ in rows} == {"held", "partly", "not held", "not applicable"}
    assert [where for state, where in rows if state in ("held", "partly") and not NAMED_FILE.search(where)] == []
    assert [name for _, where in rows for name in NAMED_FILE.findall(where) if not (ROOT / name).is_file()] == []


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
