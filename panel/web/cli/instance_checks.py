"""What ``doctor`` checks of the panel itself: settings, address, files, database, keys and Redis."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from panel.config import COMMAND, SETTINGS, Config
from panel.credentials.rotation import unreadable_owners
from panel.credentials.vault import Vault, keys_of
from panel.storage.engine import STORAGE_FAILURES, db
from panel.storage.start_check import (
    DatabaseUnusable,
    current_revisions,
    database_file,
    integrity_problem,
    require_known,
)
from panel.web.storage_words import storage_words

Finding = tuple[str, bool, str]
"""Name, result and message of a check."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_OF_TESTS = "PANEL_TEST_"
_NOT_SET_UP = f"The database is not set up. Run: {COMMAND} db upgrade"


def own_findings(config: Config) -> Iterator[Finding]:
    """The findings in order. Without a database that can be used, the last one says so."""
    yield _settings(config, os.environ)
    yield _address(config)
    if config.proxy_problem:
        yield "proxies", False, config.proxy_problem
    yield _files(config.instance_dir)
    if config.redis_url:
        yield _redis(config.redis_url)
    problem = _database_problem()
    yield "database", not problem, problem or "Whole and up to date."
    if not problem:
        yield _keys(config)


def _settings(config: Config, environ: Mapping[str, str]) -> Finding:
    unknown = [name for name in sorted(environ) if name.startswith("PANEL_") and not _is_setting(name)]
    if not unknown:
        return "settings", True, f"Instance folder {config.instance_dir}"
    return "settings", False, " ".join(_unknown(name) for name in unknown)


def _is_setting(name: str) -> bool:
    return name in _names() or name.startswith(_OF_TESTS)


def _names() -> list[str]:
    return [setting.name for setting in SETTINGS] + [f"{setting.name}_FILE" for setting in SETTINGS if setting.secret]


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _names(), 1)
    return f"{name} is no setting{f'; {close[0]} is' if close else ''}."


def _address(config: Config) -> Finding:
    """The public address in relation to the address that the panel listens on."""
    public = urlsplit(config.public_url)
    is_local = public.hostname in LOOPBACK
    if config.host not in LOOPBACK and (is_local or public.hostname in ("0.0.0.0", "::")):  # noqa: S104 (a comparison)
        message = f"The panel listens on {config.host}; set PANEL_PUBLIC_URL to the address that browsers use."
        return "address", False, message
    if not is_local and not config.is_encrypted:
        return "address", False, f"{config.public_url} is plain http: passwords travel unencrypted."
    if not is_local and config.host in LOOPBACK and not config.trusted_proxies:
        message = "With a web server in front, set PANEL_TRUSTED_PROXIES: without it, all clients count as one address."
        return "address", True, message
    return "address", True, f"Browsers use {config.public_url}"


def _files(instance: Path) -> Finding:
    if instance.stat().st_mode & 0o077:
        return "files", False, f"{instance} may be read by others; set its mode to 0700."
    open_files = sorted(path.name for path in instance.iterdir() if path.is_file() and path.stat().st_mode & 0o077)
    if open_files:
        return "files", False, f"Other accounts can read {', '.join(open_files)} in {instance}; set the mode to 0600."
    return "files", True, "Only their owner can read them."


def _redis(url: str) -> Finding:
    from panel.traffic.cache_redis import ping

    problem = ping(url)
    return "redis", not problem, f"Redis does not answer ({problem})." if problem else "Redis answers."


def _database_problem() -> str:
    """Why the database cannot be used, as a sentence; empty when it can."""
    file = database_file(db.engine)
    if file is not None and not file.exists():
        return _NOT_SET_UP
    if file is not None and (problem := integrity_problem(db.engine, file)):
        return problem
    try:
        return _schema_problem()
    except STORAGE_FAILURES as exc:
        return storage_words(exc)


def _schema_problem() -> str:
    from panel.storage.migrations import alembic  # slow to import

    try:
        require_known(db.engine, alembic.revisions())
    except DatabaseUnusable as exc:
        return str(exc)
    revisions = set(current_revisions(db.engine))
    if not revisions:
        return _NOT_SET_UP
    if revisions != {script.revision for script in alembic.heads()}:
        return f"The database is of an older Leafpanel. Run: {COMMAND} db upgrade"
    return ""


def _keys(config: Config) -> Finding:
    with db.engine.connect() as connection:
        unreadable = unreadable_owners(connection, Vault(keys_of(config)))
    if unreadable:
        message = f"No key opens the credential of {', '.join(unreadable)}. Restore its key, or enter it again."
        return "keys", False, message
    return "keys", True, "They open every stored credential."
