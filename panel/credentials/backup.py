"""Backup and restore of an instance with SQLite: the database and the keys that open it, in one archive.

Both test the archive's content: SQLite's own check, and whether its keys open every stored credential.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from pathlib import Path

from sqlalchemy import Engine, create_engine

from panel.config import DATABASE_FILE, KEY_FILES, Config, new_marker, parse_keys
from panel.core.clock import now
from panel.core.errors import Conflict, PanelError
from panel.core.messages import _
from panel.credentials.rotation import exclusive, unreadable_owners
from panel.credentials.vault import Key, Vault
from panel.storage.start_check import DatabaseUnusable, database_file, integrity_problem, require_known

MEMBERS = (DATABASE_FILE, *KEY_FILES)


class BackupFailed(PanelError):
    """A backup cannot be made or used. The message says why."""


def backup(engine: Engine, config: Config, file: Path) -> tuple[str, ...]:
    """Write the archive while the panel runs, and return the owners of credentials that no key opens.

    Raises Conflict when the file exists or keys are being rotated, and BackupFailed.
    """
    source = _sqlite_file(engine)
    if file.exists():
        raise Conflict(_("{file} exists already; name another file.", file=str(file)))
    with _failures(), exclusive(config), tempfile.TemporaryDirectory(dir=file.absolute().parent) as name:
        folder = Path(name)
        _copy_database(source, folder / DATABASE_FILE)
        for key_file in KEY_FILES:
            if (config.instance_dir / key_file).exists():
                shutil.copy2(config.instance_dir / key_file, folder / key_file)
        unreadable = _tested(folder, config)
        _pack(folder, folder / "archive")
        os.link(folder / "archive", file)
    return unreadable


def restore(engine: Engine, config: Config, file: Path, revisions: Collection[str], *, replace: bool) -> Path | None:
    """Put the content of an archive in place, and return the folder that the replaced files were moved to.

    ``revisions``: the migrations of this version. Raises Conflict when there is a database and not ``replace``, or
    when a process has it open, and BackupFailed.
    """
    target = _sqlite_file(engine)
    if _holds_tables(target) and not replace:
        raise Conflict(_("{target} holds data. To replace it, stop the panel and add --replace.", target=str(target)))
    with _failures(), tempfile.TemporaryDirectory(dir=config.instance_dir) as name:
        folder = Path(name)
        _unpack(file, folder)
        _require_restorable(folder, config, revisions)
        engine.dispose()
        _require_unused(target)
        replaced = _move_away(config, target)
        for member in MEMBERS:
            if (folder / member).exists():
                os.replace(folder / member, target if member == DATABASE_FILE else config.instance_dir / member)
    new_marker(config.instance_dir).unlink(missing_ok=True)
    return replaced


def _sqlite_file(engine: Engine) -> Path:
    file = database_file(engine)
    if file is None:
        raise BackupFailed(_("This command is for SQLite. Back up PostgreSQL with its own tools, such as pg_dump."))
    return file


@contextmanager
def _failures() -> Iterator[None]:
    """Raise BackupFailed for failures of files."""
    try:
        yield
    except DatabaseUnusable as exc:
        raise BackupFailed(*exc.args) from None
    except (tarfile.TarError, EOFError):
        raise BackupFailed(_("The file is no backup of this panel, or is damaged.")) from None
    except sqlite3.Error as exc:
        raise BackupFailed(_("The database cannot be copied: {reason}.", reason=str(exc))) from None
    except OSError as exc:
        raise BackupFailed(_("A file cannot be read or written: {reason}.", reason=str(exc.strerror or exc))) from None


def _copy_database(source: Path, copy: Path) -> None:
    """SQLite's online backup: consistent while others write."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live, closing(sqlite3.connect(copy)) as new:
        live.backup(new)


def _pack(folder: Path, archive: Path) -> None:
    with os.fdopen(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w:gz") as packed:
            for member in MEMBERS:
                if (folder / member).exists():
                    packed.add(folder / member, member)
        out.flush()
        os.fsync(out.fileno())


def _unpack(file: Path, folder: Path) -> None:
    """Only the known files are taken, each under its own name."""
    with tarfile.open(file) as packed:
        for member in packed.getmembers():
            content = packed.extractfile(member) if member.name in MEMBERS and member.isreg() else None
            if content is None:
                raise BackupFailed(_("The file is no backup of this panel, or is damaged."))
            with os.fdopen(os.open(folder / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                shutil.copyfileobj(content, out)
                out.flush()
                os.fsync(out.fileno())
    if not (folder / DATABASE_FILE).exists():
        raise BackupFailed(_("The file is no backup of this panel, or is damaged."))


def _require_restorable(folder: Path, config: Config, revisions: Collection[str]) -> None:
    with _opened(folder) as engine:
        require_known(engine, revisions)
    unreadable = _tested(folder, config)
    if unreadable:
        raise BackupFailed(
            _(
                "No key of the backup or of PANEL_ENCRYPTION_KEYS opens the credential of {sources}.",
                sources=", ".join(unreadable),
            )
        )


def _tested(folder: Path, config: Config) -> tuple[str, ...]:
    """The owners of credentials that no key opens. Raises BackupFailed when the database is damaged."""
    with _opened(folder) as engine:
        if integrity_problem(engine, folder / DATABASE_FILE):
            raise BackupFailed(_("The database in the backup is damaged."))
        vault = Vault(lambda: _keys(folder, config))
        with engine.connect() as connection:
            return unreadable_owners(connection, vault)


def _keys(folder: Path, config: Config) -> tuple[Key, ...]:
    """The keys of the setting, else those in the folder."""
    file = folder / "encryption_keys"
    try:
        raw = config.encryption_keys or (parse_keys(file.read_text("utf-8")) if file.exists() else ())
    except ValueError as exc:
        raise BackupFailed(_("The encryption_keys of the backup are damaged: {reason}.", reason=str(exc))) from None
    return tuple(Key.of(key) for key in raw)


@contextmanager
def _opened(folder: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{folder / DATABASE_FILE}", hide_parameters=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _holds_tables(file: Path) -> bool:
    """Also for a damaged file, which may hold data that can be saved."""
    if not file.exists() or not file.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    except sqlite3.Error:
        return True


def _require_unused(file: Path) -> None:
    """Ends the write-ahead log, which SQLite does only while no other process has the database open."""
    if not file.exists():
        return
    with closing(sqlite3.connect(file, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            raise Conflict(_("The database is in use. Stop the panel first.")) from None
        except sqlite3.DatabaseError:
            return  # It is damaged, and is moved away as it is.


def _move_away(config: Config, target: Path) -> Path | None:
    """Move the files of the instance into a folder of its own, unless they never held data."""
    companions = [target.with_name(f"{target.name}-{ending}") for ending in ("wal", "shm")]
    old = [file for file in (target, *companions, *(config.instance_dir / key for key in KEY_FILES)) if file.exists()]
    if new_marker(config.instance_dir).exists() and not _holds_tables(target):
        for file in old:
            file.unlink()
        return None
    folder = config.instance_dir / f"replaced-{now().astimezone(UTC):%Y%m%d-%H%M%S-%f}"
    folder.mkdir(mode=0o700)
    for file in old:
        os.replace(file, folder / file.name)
    return folder
