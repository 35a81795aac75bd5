"""Backups: one archive that is tested when it is made and when it is used, and replaces nothing unasked."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from support import CASE_PATH, api_token

from panel import create_app
from panel.config import load
from panel.credentials.vault import new_key
from panel.services import Panel
from panel.storage.engine import db

Run = Callable[..., Result]


def run(app: Flask, *words: object) -> Result:
    return app.test_cli_runner().invoke(args=[str(word) for word in words])


def instance_of(app: Flask) -> Path:
    services: Panel = app.extensions["leafpanel"]
    return services.config.instance_dir


@pytest.fixture
def archive(connected: Flask, tmp_path: Path) -> Path:
    """A backup of a panel with two sources and a token."""
    api_token(connected, "read", name="kept")
    file = tmp_path / "backup.tar.gz"
    made = run(connected, "backup", file)
    assert made.exit_code == 0, made.output
    return file


@pytest.fixture
def empty(tmp_path: Path) -> Flask:
    return create_app(load({"PANEL_INSTANCE_DIR": str(tmp_path / "empty")}))


def repacked(archive: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with the content of its files changed."""
    other = archive.with_name("changed.tar.gz")
    with tarfile.open(archive) as old, tarfile.open(other, "w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            assert content is not None
            data = change(member.name, content.read())
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return other


def test_a_backup_is_for_its_owner_only(archive: Path) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as packed:
        assert sorted(packed.getnames()) == ["encryption_keys", "panel.sqlite3", "secret_key"]


def test_an_existing_file_is_not_overwritten(connected: Flask, archive: Path) -> None:
    again = run(connected, "backup", archive)

    assert (again.exit_code, again.stderr) == (1, f"{archive} exists already; name another file.\n")


def test_a_restored_panel_reads_its_sources(archive: Path, empty: Flask) -> None:
    done = run(empty, "restore", archive)

    assert (done.exit_code, done.output) == (0, f"Restored {archive}.\n")
    again = create_app(load({"PANEL_INSTANCE_DIR": str(instance_of(empty))}))
    with again.app_context():
        services: Panel = again.extensions["leafpanel"]
        source = services.resolver.resolve(services.registry.get("openproject")).ready()
        assert source.auth.secret is not None
        assert source.auth.secret.reveal()
    assert {path.name for path in instance_of(empty).iterdir()} >= {"panel.sqlite3", "encryption_keys", "secret_key"}
    assert not list(instance_of(empty).glob("replaced-*"))


def test_data_is_replaced_only_when_asked(archive: Path, empty: Flask) -> None:
    run(empty, "db", "upgrade")
    refused = run(empty, "restore", archive)

    done = run(empty, "restore", archive, "--replace")

    assert (refused.exit_code, "--replace" in refused.stderr) == (1, True)
    assert done.exit_code == 0, done.output
    (replaced,) = instance_of(empty).glob("replaced-*")
    assert {path.name for path in replaced.iterdir()} >= {"panel.sqlite3", "encryption_keys", "secret_key"}


def test_nothing_is_replaced_under_a_running_panel(archive: Path, empty: Flask) -> None:
    run(empty, "db", "upgrade")
    file = instance_of(empty) / "panel.sqlite3"
    with closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM source").fetchone()

        refused = run(empty, "restore", archive, "--replace")

    assert (refused.exit_code, refused.stderr) == (1, "The database is in use. Stop the panel first.\n")
    assert not list(instance_of(empty).glob("replaced-*"))


def _cut_database(name: str, data: bytes) -> bytes:
    return data[: len(data) // 2 // 4096 * 4096] if name == "panel.sqlite3" else data


def _other_keys(name: str, data: bytes) -> bytes:
    import base64

    return base64.urlsafe_b64encode(new_key().raw) if name == "encryption_keys" else data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_cut_database, "damaged"),
        (_other_keys, "No key of the backup or of PANEL_ENCRYPTION_KEYS opens the credential of openproject, xwiki."),
    ],
    ids=["damaged", "other keys"],
)
def test_a_backup_that_does_not_pass_its_test_is_refused(
    archive: Path, empty: Flask, change: Callable[[str, bytes], bytes], words: str
) -> None:
    refused = run(empty, "restore", repacked(archive, change))

    assert (refused.exit_code, words in refused.stderr) == (1, True), refused.output
    assert not (instance_of(empty) / "panel.sqlite3").exists()


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_another_file_is_refused(tmp_path: Path, empty: Flask, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)

    refused = run(empty, "restore", tmp_path / "file")

    assert (refused.exit_code, refused.stderr) == (1, "The file is no backup of this panel, or is damaged.\n")


def test_an_archive_writes_no_other_file(tmp_path: Path, empty: Flask) -> None:
    with tarfile.open(tmp_path / "evil", "w") as packed:
        packed.addfile(tarfile.TarInfo("../escaped"))

    assert run(empty, "restore", tmp_path / "evil").exit_code == 1
    assert not (instance_of(empty) / "escaped").exists()
    assert not (instance_of(empty).parent / "escaped").exists()


def test_a_credential_that_no_key_opens_is_reported(connected: Flask, tmp_path: Path) -> None:
    with connected.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE source SET secret = 'v1.00000000.x' WHERE slug = 'xwiki'")

    made = run(connected, "backup", tmp_path / "backup.tar.gz")

    assert (made.exit_code, "No key opens the credential of xwiki" in made.stderr) == (1, True)
    assert (tmp_path / "backup.tar.gz").exists()


def test_links_survive(connected: Flask, tmp_path: Path, empty: Flask) -> None:
    known = {"Authorization": f"Bearer {api_token(connected, 'write')}"}
    client = connected.test_client()
    assert client.post(f"{CASE_PATH}/openproject", json={"reference": "101"}, headers=known).status_code == 201
    run(connected, "backup", tmp_path / "backup.tar.gz")

    run(empty, "restore", tmp_path / "backup.tar.gz")

    with closing(sqlite3.connect(instance_of(empty) / "panel.sqlite3")) as connection:
        assert connection.execute("SELECT reference FROM link").fetchall() == [("101",)]


def deeds(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "panel.sqlite3")) as connection:
        return connection.execute("SELECT deed, subject FROM audit_entry WHERE deed LIKE 'backup%'").fetchall()


def test_backup_and_restore_have_lines_in_the_audit_trail(connected: Flask, archive: Path, empty: Flask) -> None:
    """A backup holds no line of itself: its line is written once it is whole."""
    run(empty, "restore", archive)

    assert deeds(instance_of(connected)) == [("backup-made", "backup.tar.gz")]
    assert deeds(instance_of(empty)) == [("backup-restored", "backup.tar.gz")]


def test_a_backup_that_failed_has_no_line(connected: Flask, archive: Path) -> None:
    run(connected, "backup", archive)

    assert deeds(instance_of(connected)) == [("backup-made", "backup.tar.gz")]


def test_a_backup_succeeds_where_its_line_cannot_be_written(connected: Flask, tmp_path: Path) -> None:
    with connected.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_entry RENAME TO gone")

    made = run(connected, "backup", tmp_path / "backup.tar.gz")

    assert (made.exit_code, (tmp_path / "backup.tar.gz").exists()) == (0, True)
    assert made.stderr == "The audit trail has no line of this: The database is not set up.\n"
