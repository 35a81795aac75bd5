from __future__ import annotations

import base64
import os
import stat
import sys
from pathlib import Path

import pytest

from panel.__main__ import _instructions
from panel.config import SETTINGS, ConfigError, load

RAW = bytes(range(32))
OLDER = bytes(range(32, 64))
KEY = base64.urlsafe_b64encode(RAW).decode()


def settings(tmp_path: Path, **values: str) -> dict[str, str]:
    return {"PANEL_INSTANCE_DIR": str(tmp_path / "instance"), **values}


def test_starts_without_any_setting_on_loopback_with_sqlite(tmp_path: Path) -> None:
    config = load(settings(tmp_path))

    assert (config.host, config.port) == ("127.0.0.1", 8000)
    assert config.database_url == f"sqlite:///{tmp_path}/instance/panel.sqlite3"
    assert config.public_url == "http://127.0.0.1:8000"


def test_makes_its_keys_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first, second = load(settings(tmp_path)), load(settings(tmp_path))

    assert first.secret_key == second.secret_key
    assert len(first.secret_key) >= 48
    assert stat.S_IMODE((tmp_path / "instance" / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "\n", "abc\n"])
def test_refuses_a_signing_key_that_is_too_short(tmp_path: Path, text: str) -> None:
    (load(settings(tmp_path)).instance_dir / "secret_key").write_text(text)

    with pytest.raises(ConfigError, match="secret_key is damaged: the key must have at least 16 characters"):
        load(settings(tmp_path))


def test_refuses_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    load(settings(tmp_path))
    (tmp_path / "instance" / "secret_key").chmod(0o644)

    with pytest.raises(ConfigError, match="0600"):
        load(settings(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PANEL_PORT", "eighty"),
        ("PANEL_PORT", "70000"),
        ("PANEL_CONNECTOR_ENABLED", "maybe"),
        ("PANEL_DEADLINE_S", "0"),
        ("PANEL_DEADLINE_S", "five"),
        ("PANEL_CACHE_TTL_S", "-1"),
        ("PANEL_PUBLIC_URL", "panel.example.org"),
        ("PANEL_SECRET_KEY", "short"),
        ("PANEL_SECRET_KEY", "a" * 64),
        ("PANEL_SECRET_KEY", "ab" * 32),
        ("PANEL_ENCRYPTION_KEYS", "A" * 43),
        ("PANEL_ENCRYPTION_KEYS", base64.urlsafe_b64encode(b"k" * 32).decode()),
        ("PANEL_PUBLIC_URL", "https://user:pw@panel.example.org"),
        ("PANEL_PUBLIC_URL", "https://@panel.example.org"),
        ("PANEL_PUBLIC_URL", "http://0.0.0.0:8000"),
        ("PANEL_PUBLIC_URL", "https://panel.example.org/api/panel"),
        ("PANEL_PUBLIC_URL", "https://panel.example.org/a%20path"),
        ("PANEL_PUBLIC_URL", "https://panel.example.org/../up"),
        ("PANEL_PUBLIC_URL", "https://panel.example.org/a//b"),
        ("PANEL_HOST", "0.0.0.0"),
        ("PANEL_HOST", "::"),
        ("PANEL_IMPORT_VARIABLES", "NOT-A-NAME"),
        ("PANEL_IMPORT_VARIABLES", "WIKI_PASSWORD,PANEL_SECRET_KEY"),
        ("PANEL_MCP_TOOL_NAME", "two words"),
        ("PANEL_ALLOWED_PRIVATE_HOSTS", "wiki.example.org"),
        ("PANEL_ALLOWED_PRIVATE_HOSTS", "10.0.0.0/40"),
    ],
)
def test_a_wrong_setting_stops_the_start_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(settings(tmp_path, **{name: value}))


@pytest.mark.parametrize(
    ("name", "value", "library", "extra"),
    [
        ("PANEL_DATABASE_URL", "postgresql+psycopg://panel:secret@db/panel", "psycopg", "postgresql"),
        ("PANEL_REDIS_URL", "redis://:secret@cache/0", "redis", "redis"),
    ],
)
def test_a_setting_whose_library_is_not_installed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ConfigError) as caught:
        load(settings(tmp_path, **{name: value}))

    assert str(caught.value) == (
        f"{name} needs the library {library}, which is not installed: install leafpanel[{extra}]."
    )


def test_a_bad_encryption_key_is_named_without_its_value(tmp_path: Path) -> None:
    bad = "c2VjcmV0LWJ1dC10b28tc2hvcnQ="

    with pytest.raises(ConfigError, match="PANEL_ENCRYPTION_KEYS key 2") as caught:
        load(settings(tmp_path, PANEL_ENCRYPTION_KEYS=f"{KEY},{bad}"))

    assert bad not in str(caught.value)


def test_several_encryption_keys_are_taken_newest_first(tmp_path: Path) -> None:
    older = base64.urlsafe_b64encode(OLDER).decode().rstrip("=")

    config = load(settings(tmp_path, PANEL_ENCRYPTION_KEYS=f"{KEY}, {older}"))

    assert config.encryption_keys == (RAW, OLDER)


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a secret from a file\n")

    assert load(settings(tmp_path, PANEL_SECRET_KEY_FILE=str(file))).secret_key == "a secret from a file"


def test_an_unreadable_secret_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PANEL_SECRET_KEY_FILE"):
        load(settings(tmp_path, PANEL_SECRET_KEY_FILE=str(tmp_path / "nowhere")))


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")

    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in text] == []


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({"PANEL_PUBLIC_URL": "https://panel.example"}, True),
        ({"PANEL_PUBLIC_URL": "https://panel.example", "PANEL_TRUSTED_PROXIES": "1"}, False),
        ({"PANEL_PUBLIC_URL": "http://panel.example"}, False),
        ({}, False),
    ],
)
def test_an_https_address_without_a_trusted_proxy_is_told_at_start(
    tmp_path: Path, settings: dict[str, str], is_told: bool
) -> None:
    config = load({"PANEL_INSTANCE_DIR": str(tmp_path), **settings})

    assert ("Set PANEL_TRUSTED_PROXIES to the number" in _instructions(config, None, sandbox=False)) is is_told


@pytest.mark.parametrize("text", ["", "\n", "abc", "a" * 48])
def test_an_empty_or_weak_key_file_stops_the_start(tmp_path: Path, text: str) -> None:
    load(settings(tmp_path))
    (tmp_path / "instance" / "secret_key").write_text(text)

    with pytest.raises(ConfigError, match="secret_key"):
        load(settings(tmp_path))


def test_a_new_key_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda opened: (done.append("sync"), fsync(opened)))
    monkeypatch.setattr(os, "link", lambda *paths: (done.append("link"), link(*paths)))

    load(settings(tmp_path))

    assert done == ["sync", "link", "sync"]


def test_files_are_private_in_a_folder_that_was_there_before(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    instance.mkdir()
    instance.chmod(0o755)
    for name in ("panel.sqlite3", "panel.sqlite3-wal", "traffic.sqlite3"):
        (instance / name).touch()
        (instance / name).chmod(0o644)

    before = os.umask(0o022)
    try:
        load(settings(tmp_path))
        (instance / "made-later").touch()
    finally:
        os.umask(before)

    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in instance.iterdir()} == dict.fromkeys(
        ["panel.sqlite3", "panel.sqlite3-wal", "traffic.sqlite3", "secret_key", "made-later"], 0o600
    )


def test_the_start_prints_the_name_that_belongs_to_the_one_time_password(tmp_path: Path) -> None:
    shown = _instructions(load({"PANEL_INSTANCE_DIR": str(tmp_path)}), ("bob", "1234-5678"), sandbox=False)

    assert "Sign in as    bob, with the one-time password 1234-5678" in shown
