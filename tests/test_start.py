"""A start with a database that is damaged, gone, half copied, older or newer: one sentence, exit 1, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from served import served
from support import CASE_PATH, api_token
from test_docs import free_ports, wait_until_ready

from panel import create_app
from panel.__main__ import main
from panel.config import load
from panel.services import Panel
from panel.storage.engine import db

ROOT = Path(__file__).parent.parent


@pytest.fixture
def instance(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with keys and a migrated database, which nothing has open."""
    services: Panel = app.extensions["leafpanel"]
    with app.app_context():
        db.engine.dispose()
    monkeypatch.setenv("PANEL_INSTANCE_DIR", str(services.config.instance_dir))
    monkeypatch.setenv("PANEL_PORT", free_ports(1)[0])
    return services.config.instance_dir


def sql(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def cut(file: Path) -> None:
    sql(file, "SELECT 1")
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)


def without_tables(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def newer(file: Path) -> None:
    sql(file, "UPDATE alembic_version SET version_num = '9999_future'")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "garbage": (lambda file: file.write_bytes(b"no database " * 1000), "is damaged. Restore a backup."),
    "cut": (cut, "is damaged. Restore a backup."),
    "folder": (folder, "cannot be opened for writing."),
    "newer": (newer, "This database is of a newer Leafpanel (schema 9999_future)."),
    "missing": (Path.unlink, "is missing or empty."),
    "empty": (lambda file: os.truncate(file, 0), "is missing or empty."),
    "without tables": (without_tables, "is missing or empty."),
}


def damage(instance: Path, how: str) -> str:
    """Do it, and return the words that the refusal holds."""
    file = instance / "panel.sqlite3"
    for companion in ("-wal", "-shm"):
        Path(f"{file}{companion}").unlink(missing_ok=True)
    act, words = DAMAGES[how]
    act(file)
    return words


@pytest.mark.parametrize("how", DAMAGES)
def test_a_start_is_refused_in_one_sentence(instance: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = damage(instance, how)

    assert main([]) == 1

    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("how", ["garbage", "newer", "missing"])
def test_the_command_refuses_too(instance: Path, how: str) -> None:
    words = damage(instance, how)

    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_refused_start_creates_no_database(instance: Path) -> None:
    damage(instance, "missing")

    main([])

    assert not (instance / "panel.sqlite3").exists()


def test_an_empty_database_is_created_when_it_is_meant(instance: Path) -> None:
    damage(instance, "missing")
    app = create_app(load())

    created = app.test_cli_runner().invoke(args=["create-database"])

    assert (created.exit_code, created.output) == (0, "The database is set up.\n")
    assert not (instance / ".new").exists()
    assert app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0


def test_a_new_folder_is_migrated_after_other_commands_made_its_keys(tmp_path: Path) -> None:
    settings = {"PANEL_INSTANCE_DIR": str(tmp_path / "new")}
    refused = create_app(load(settings)).test_cli_runner().invoke(args=["source", "list"])

    upgraded = create_app(load(settings)).test_cli_runner().invoke(args=["db", "upgrade"])

    assert (refused.exit_code, upgraded.exit_code) == (1, 0)
    assert not (tmp_path / "new" / ".new").exists()


def test_an_older_database_names_the_command(app: Flask) -> None:
    known = {"Authorization": f"Bearer {api_token(app, 'read')}"}
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_token DROP COLUMN last_used_at")

    answer = app.test_client().get(f"{CASE_PATH}/openproject", headers=known)

    assert answer.status_code == 503
    assert (answer.json or {})["message"] == ("The database is of an older Leafpanel. Run: flask --app wsgi db upgrade")


def test_a_copy_with_its_database_starts(instance: Path, tmp_path: Path) -> None:
    shutil.copytree(instance, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", "*-shm", "traffic*"))
    app = create_app(load({"PANEL_INSTANCE_DIR": str(tmp_path / "copy")}))

    assert app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0


SLOW_TO_IMPORT = {"alembic", "joserfc.jwt", "mcp", "psycopg", "redis"}


def test_a_command_imports_nothing_slow_that_it_does_not_need(instance: Path) -> None:
    program = (
        "import sys; from wsgi import app; app.test_cli_runner().invoke(args=['source', 'list']); print(*sys.modules)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert "sqlalchemy" in loaded.split()
    assert SLOW_TO_IMPORT.isdisjoint(loaded.split())


def test_the_server_inherits_no_open_database(instance: Path, tmp_path: Path) -> None:
    with served(tmp_path, PANEL_INSTANCE_DIR=str(instance)) as panel:
        (server,) = children_of(panel.process.pid)
        opened = [os.readlink(file) for file in Path(f"/proc/{server}/fd").iterdir()]

    assert any(file.startswith("socket:") for file in opened)
    assert not [file for file in opened if "sqlite" in file]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_the_server_ends_with_its_parent(instance: Path, tmp_path: Path, how: signal.Signals) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        # Shells ignore SIGQUIT in what they start in the background, and children inherit that.
        parent = subprocess.Popen(
            [sys.executable, "-m", "panel"],
            cwd=ROOT, stdout=out, stderr=out, preexec_fn=lambda: signal.signal(signal.SIGQUIT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        wait_until_ready(parent, log)
        children = children_of(parent.pid)
        assert children
    finally:
        parent.send_signal(how)
        parent.wait(30)

    end = time.monotonic() + 30
    while (left := [child for child in children if is_running(child)]) and time.monotonic() < end:
        time.sleep(0.05)
    for child in left:
        os.kill(child, signal.SIGTERM)
    assert not left


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process runs that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
