"""Changing the keys of credentials while everything runs, and what happens to credentials whose key is not there."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, insert, select, update
from support import ALICE, CASE_PATH, CONSOLE, MakeApp, Upstreams, openproject_values, xwiki_values

from panel.accounts.api_tokens import TokenRequest
from panel.config import Config, load, new_encryption_key, parse_keys
from panel.credentials.rotation import SETTLE_S, rotate
from panel.credentials.vault import AssociatedData, Key, Unreadable, Vault, keys_of, read_own_keys, write_own_keys
from panel.sources.service import Sources
from panel.storage.engine import Model, db
from panel.storage.models import OauthAttempt, OauthGrant, Source, User

ORIGIN = "https://upstream.example"
FORK = multiprocessing.get_context("fork")


def config_of(folder: Path, **settings: str) -> Config:
    return load({"PANEL_INSTANCE_DIR": str(folder), **settings})


def belonging_of(number: int) -> AssociatedData:
    return AssociatedData(f"{number:032}", "basic", ORIGIN)


def fill(engine: Engine, vault: Vault, count: int) -> None:
    rows = [
        {"id": f"{n:032}", "slug": f"source-{n}", "name": "S", "location": ORIGIN, "auth_kind": "basic",
         "secret": vault.seal(f"secret {n}", belonging_of(n)), "secret_origin": ORIGIN}
        for n in range(count)
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(Source), rows)


def unreadable(engine: Engine, vault: Vault) -> list[str]:
    """Opens every stored secret, as a request would: first the row, then the key."""
    with engine.connect() as connection:
        rows = connection.execute(select(Source.id, Source.secret)).all()
    return [row.id for row in rows if not _opens(vault, row.secret, AssociatedData(row.id, "basic", ORIGIN))]


def _opens(vault: Vault, sealed: str | None, associated_data: AssociatedData) -> bool:
    try:
        return sealed is not None and vault.open(sealed, associated_data).startswith("secret ")
    except Unreadable:
        return False


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path / "instance")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    """A database with the tables, without an application around it."""
    made = create_engine(config.database_url)
    Model.metadata.create_all(made)
    yield made
    made.dispose()


# --- one rotation ----------------------------------------------------------------------------------------------------


def test_everything_is_sealed_with_a_new_key_and_the_old_one_is_retired(engine: Engine, config: Config) -> None:
    old = read_own_keys(config)
    fill(engine, Vault(keys_of(config)), 20)

    done = rotate(engine, config, by=ALICE)

    new = read_own_keys(config)
    assert (done.resealed, done.newest, done.retired) == (20, new[0].id, (old[0].id,))
    assert len(new) == 1
    assert unreadable(engine, Vault(lambda: new)) == []
    assert len(unreadable(engine, Vault(lambda: old))) == 20


def test_tokens_and_visits_of_oauth_are_resealed_too(engine: Engine, config: Config) -> None:
    vault = Vault(keys_of(config))
    fill(engine, vault, 1)
    source_id = f"{0:032}"
    grant, attempt = (
        AssociatedData(source_id, "oauth2-grant", ORIGIN),
        AssociatedData(source_id, "oauth2-attempt", ORIGIN),
    )
    with engine.begin() as connection:
        connection.execute(insert(User).values(id=1, name="alice", password_hash="!"))
        connection.execute(insert(OauthGrant).values(source_id=source_id, sealed=vault.seal("tokens", grant)))
        sealed = vault.seal("verifier", attempt)
        connection.execute(
            insert(OauthAttempt).values(state_hash="h", source_id=source_id, user_id=1, sealed_verifier=sealed)
        )

    done = rotate(engine, config, by=ALICE)

    fresh = Vault(lambda: read_own_keys(config))
    assert done.resealed == 3
    with engine.connect() as connection:
        assert fresh.open(str(connection.scalar(select(OauthGrant.sealed))), grant) == "tokens"
        assert fresh.open(str(connection.scalar(select(OauthAttempt.sealed_verifier))), attempt) == "verifier"


def test_extra_headers_are_resealed_too(engine: Engine, config: Config) -> None:
    vault, bound = Vault(keys_of(config)), AssociatedData(f"{0:032}", "headers", ORIGIN)
    fill(engine, vault, 1)
    values = {"headers": ["X-Key"], "headers_sealed": vault.seal("values", bound), "headers_origin": ORIGIN}
    with engine.begin() as connection:
        connection.execute(update(Source).values(values))

    done = rotate(engine, config, by=ALICE)

    fresh = Vault(lambda: read_own_keys(config))
    assert (done.resealed, done.unreadable) == (2, ())
    with engine.connect() as connection:
        assert fresh.open(str(connection.scalar(select(Source.headers_sealed))), bound) == "values"


def test_the_key_file_stays_private_and_nothing_lies_beside_it(engine: Engine, config: Config) -> None:
    rotate(engine, config, by=ALICE)

    assert config.keys_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in config.instance_dir.iterdir() if "encryption" in path.name] == ["encryption_keys"]


def test_a_running_process_uses_the_new_key_at_once(engine: Engine, config: Config) -> None:
    running = Vault(keys_of(config))
    fill(engine, running, 3)

    done = rotate(engine, config, by=ALICE)

    assert unreadable(engine, running) == []
    assert running.newest == done.newest


def test_who_read_a_text_before_the_rotation_still_opens_it_after(engine: Engine, config: Config) -> None:
    running = Vault(keys_of(config))
    sealed = running.seal("secret 1", belonging_of(1))

    rotate(engine, config, by=ALICE)

    assert running.open(sealed, belonging_of(1)) == "secret 1"


def test_a_source_keeps_its_revision(engine: Engine, config: Config) -> None:
    fill(engine, Vault(keys_of(config)), 1)

    rotate(engine, config, by=ALICE)

    with engine.connect() as connection:
        assert connection.scalar(select(Source.revision)) == 1


def test_two_rotations_at_once_are_refused_in_one_sentence(app: Flask) -> None:
    folder = os.open(app.extensions["leafpanel"].config.instance_dir, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)

    result = app.test_cli_runner().invoke(args=["keys", "rotate"])

    os.close(folder)
    assert (result.exit_code, result.stderr.strip()) == (1, "Another rotation of keys is running.")


# --- keys of the setting ---------------------------------------------------------------------------------------------


def test_keys_of_the_setting_are_used_and_the_older_ones_named(engine: Engine, tmp_path: Path) -> None:
    old, new = new_encryption_key(), new_encryption_key()
    before = config_of(tmp_path / "a", PANEL_ENCRYPTION_KEYS=old)
    after = config_of(tmp_path / "a", PANEL_ENCRYPTION_KEYS=f"{new},{old}")
    fill(engine, Vault(keys_of(before)), 5)

    done = rotate(engine, after, by=ALICE)

    ids = [Key.of(raw).id for raw in parse_keys(f"{new},{old}")]
    assert (done.newest, done.resealed, done.removable, done.retired) == (ids[0], 5, (ids[1],), ())
    assert unreadable(engine, Vault(keys_of(config_of(tmp_path / "a", PANEL_ENCRYPTION_KEYS=new)))) == []


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_what_no_key_opens_is_named_and_left_and_the_rest_is_done(engine: Engine, config: Config) -> None:
    vault, lost = Vault(keys_of(config)), Key.of(b"l" * 32)
    fill(engine, vault, 5)
    sealed = Vault(lambda: (lost,)).seal("secret 2", belonging_of(2))
    with engine.begin() as connection:
        connection.execute(update(Source).where(Source.slug == "source-2").values(secret=sealed))

    done = rotate(engine, config, by=ALICE)

    assert (done.resealed, done.unreadable, done.retired) == (4, ("source-2",), ())
    assert len(read_own_keys(config)) == 2
    with engine.connect() as connection:
        assert connection.scalar(select(Source.secret).where(Source.slug == "source-2")) == sealed


def test_the_command_ends_with_1_and_one_sentence_that_names_it(connected: Flask) -> None:
    with connected.app_context():
        db.session.execute(update(Source).where(Source.slug == "xwiki").values(secret="v1.00000000.AAAA"))
        db.session.commit()

    result = connected.test_cli_runner().invoke(args=["keys", "rotate", "--json"])

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "the credential of xwiki" in result.stderr
    assert json.loads(result.stdout)["unreadable"] == ["xwiki"]


def test_the_command_prints_ids_and_no_key(connected: Flask) -> None:
    result = connected.test_cli_runner().invoke(args=["keys", "rotate"])

    keys = read_own_keys(connected.extensions["leafpanel"].config)
    assert (result.exit_code, len(keys)) == (0, 1)
    assert f"Encrypted 2 credentials with the key {keys[0].id}." in result.stdout
    assert connected.extensions["leafpanel"].config.keys_file.read_text().strip() not in result.output


def test_a_credential_moved_to_another_source_is_unreadable_and_nothing_is_sent(
    connected: Flask, upstreams: Upstreams, bearer: Callable[[str], dict[str, str]]
) -> None:
    with connected.app_context():
        secrets = dict(db.session.execute(select(Source.slug, Source.secret)).all())
        for slug, other in (("xwiki", "openproject"), ("openproject", "xwiki")):
            db.session.execute(update(Source).where(Source.slug == slug).values(secret=secrets[other]))
        db.session.commit()

    with upstreams.xwiki.counting() as wiki, upstreams.openproject.counting() as tracker:
        answers = [connected.test_client().get(f"{CASE_PATH}/{leaf}", headers=bearer("read")) for leaf in secrets]

    assert [answer.json["details"]["reason"] for answer in answers] == ["source-unreadable"] * 2
    assert (wiki, tracker) == ([], [])


def test_without_its_key_only_what_it_sealed_is_unreadable_until_it_is_back(
    make_app: MakeApp, upstreams: Upstreams
) -> None:
    settings = {"PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port}
    first = make_app(**settings)
    config: Config = first.extensions["leafpanel"].config
    right = read_own_keys(config)
    with first.app_context():
        first.extensions["leafpanel"].sources.create(xwiki_values(upstreams), by=ALICE)
        before = db.session.scalar(select(Source.secret))

    write_own_keys(config, (Key.of(b"w" * 32),))
    wrong = make_app(**settings)
    with wrong.app_context():
        wrong.extensions["leafpanel"].sources.create(openproject_values(upstreams), by=ALICE)
    reasons = {leaf: _reason(wrong, leaf) for leaf in ("xwiki", "openproject")}
    write_own_keys(config, (*right, Key.of(b"w" * 32)))
    again = make_app(**settings)

    assert reasons == {"xwiki": "source-unreadable", "openproject": None}
    assert [_reason(again, leaf) for leaf in ("xwiki", "openproject")] == [None, None]
    with again.app_context():
        assert db.session.scalar(select(Source.secret).where(Source.slug == "xwiki")) == before


def _reason(app: Flask, leaf: str) -> str | None:
    with app.app_context():
        token = app.extensions["leafpanel"].api_tokens.create_token(TokenRequest("probe", "read"), by=CONSOLE)
    answer = app.test_client().get(f"{CASE_PATH}/{leaf}", headers={"Authorization": f"Bearer {token}"})
    return (answer.json or {}).get("details", {}).get("reason")


# --- at the same time ------------------------------------------------------------------------------------------------


def test_ten_thousand_are_done_in_seconds_while_readers_see_no_failure(engine: Engine, config: Config) -> None:
    fill(engine, Vault(keys_of(config)), 10_000)
    stop, seen = FORK.Event(), FORK.Queue()
    readers = [FORK.Process(target=_read_until, args=(config, stop, seen)) for _ in range(2)]
    engine.dispose()
    for reader in readers:
        reader.start()
    started = [seen.get(timeout=30) for _ in readers]

    begun = time.monotonic()
    done = rotate(engine, config, by=ALICE)
    took = time.monotonic() - begun

    stop.set()
    reads, failures = (sum(numbers) for numbers in zip(*[seen.get(timeout=30) for _ in readers], strict=True))
    for reader in readers:
        reader.join(30)
    print(f"rotated {done.resealed} in {took:.2f} s while {reads} reads had {failures} failures")
    assert started == ["reading"] * 2
    assert (done.resealed, failures) == (10_000, 0)
    assert reads > 100
    assert took < 30


def _read_until(config: Config, stop: threading.Event, seen: multiprocessing.Queue[object]) -> None:
    """Another process that opens secrets all the time."""
    engine, vault = create_engine(config.database_url), Vault(keys_of(config))
    seen.put("reading")
    reads = failures = 0
    while not stop.is_set():
        number = random.randrange(10_000)
        with engine.connect() as connection:
            sealed = connection.scalar(select(Source.secret).where(Source.id == f"{number:032}"))
        reads += 1
        failures += not _opens(vault, sealed, belonging_of(number))
    seen.put((reads, failures))


def test_what_is_saved_during_rotations_is_kept(connected: Flask, upstreams: Upstreams) -> None:
    config: Config = connected.extensions["leafpanel"].config
    last = ""
    with connected.app_context():
        url = db.engine.url
    stop = threading.Event()
    own = create_engine(url)
    rotating = threading.Thread(target=lambda: [rotate(own, config, by=ALICE) for _ in iter(stop.is_set, True)])
    rotating.start()
    for number in range(60):
        last = f"password {number}"
        with connected.app_context():
            sources: Sources = connected.extensions["leafpanel"].sources
            sources.change("xwiki", {"auth": {"type": "basic", "password": last}}, by=ALICE)
    stop.set()
    rotating.join(30)
    own.dispose()

    with connected.app_context():
        row = db.session.scalars(select(Source).where(Source.slug == "xwiki")).one()
        fresh = Vault(lambda: read_own_keys(config))
        assert fresh.open(str(row.secret), AssociatedData(row.id, row.auth_kind, row.secret_origin)) == last


def test_a_save_that_sealed_before_the_key_was_retired_is_sealed_again(
    connected: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The narrow moment itself: the rotation runs between sealing and writing."""
    config: Config = connected.extensions["leafpanel"].config
    seal, rotated = Vault.seal, []

    def sealing(self: Vault, text: str, associated_data: AssociatedData) -> str:
        sealed = seal(self, text, associated_data)
        if text == "typed" and not rotated:
            rotated.append(True)
            write_own_keys(config, (Key.of(b"n" * 32),))
        return sealed

    monkeypatch.setattr(Vault, "seal", sealing)
    with connected.app_context():
        connected.extensions["leafpanel"].sources.change("xwiki", {"auth": {"password": "typed"}}, by=ALICE)
        row = db.session.scalars(select(Source).where(Source.slug == "xwiki")).one()
        fresh = Vault(lambda: read_own_keys(config))

        assert fresh.open(str(row.secret), AssociatedData(row.id, row.auth_kind, row.secret_origin)) == "typed"


def test_a_text_that_was_saved_meanwhile_is_not_written_over(
    engine: Engine, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(keys_of(config))
    fill(engine, vault, 3)
    opened, saved = Vault.open, []

    def opening(self: Vault, sealed: str, associated_data: AssociatedData) -> str:
        text = opened(self, sealed, associated_data)
        if not saved:
            saved.append(vault.seal("secret of somebody", associated_data))
            with engine.begin() as connection:
                connection.execute(update(Source).where(Source.id == associated_data.source_id).values(secret=saved[0]))
        return text

    monkeypatch.setattr(Vault, "open", opening)
    rotate(engine, config, by=ALICE)

    with engine.connect() as connection:
        sealed = connection.scalar(select(Source.secret).where(Source.slug == "source-0"))
    assert opened(Vault(lambda: read_own_keys(config)), str(sealed), belonging_of(0)) == "secret of somebody"


def test_killed_at_any_point_everything_stays_readable(engine: Engine, config: Config) -> None:
    fill(engine, Vault(keys_of(config)), 200)
    begun = time.monotonic()
    _rotate_in_a_child(engine, config, kill_after=None)
    whole = time.monotonic() - begun
    cut = 0

    for _ in range(200):
        cut += _rotate_in_a_child(engine, config, kill_after=random.uniform(0, whole - SETTLE_S))
        assert unreadable(engine, Vault(lambda: read_own_keys(config))) == []
        engine.dispose()

    print(f"{cut} of 200 rotations were cut off; one takes {whole:.2f} s; all took {time.monotonic() - begun:.0f} s")
    done = rotate(engine, config, by=ALICE)
    assert cut > 20
    assert (done.resealed, len(read_own_keys(config))) == (200, 1)
    assert unreadable(engine, Vault(lambda: read_own_keys(config))) == []


def _rotate_in_a_child(engine: Engine, config: Config, *, kill_after: float | None) -> bool:
    """Whether the child was cut off."""
    engine.dispose()
    child = FORK.Process(target=_child, args=(config,))
    child.start()
    if kill_after is not None:
        time.sleep(kill_after)
        child.kill()
    child.join(60)
    return child.exitcode != 0


def _child(config: Config) -> None:
    rotate(create_engine(config.database_url), config, by=ALICE)
