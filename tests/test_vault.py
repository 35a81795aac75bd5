from __future__ import annotations

import dataclasses
import os

import pytest

from panel.credentials.vault import AssociatedData, Key, Unreadable, Vault

HERE = AssociatedData("source-1", "basic", "https://wiki.example.org")
OLD, NEW = Key.of(b"o" * 32), Key.of(b"n" * 32)


def vault(*keys: Key) -> Vault:
    return Vault(lambda: keys)


def test_opens_what_it_sealed() -> None:
    sealed = vault(NEW).seal("s3cret ✓", HERE)

    assert vault(NEW).open(sealed, HERE) == "s3cret ✓"
    assert "s3cret" not in sealed


def test_the_same_secret_never_looks_the_same() -> None:
    assert vault(NEW).seal("s3cret", HERE) != vault(NEW).seal("s3cret", HERE)


@pytest.mark.parametrize("changed", [{"source_id": "source-2"}, {"kind": "token"}, {"origin": "https://evil.example"}])
def test_does_not_open_for_another_source_kind_or_origin(changed: dict[str, str]) -> None:
    sealed = vault(NEW).seal("s3cret", HERE)

    with pytest.raises(Unreadable):
        vault(NEW).open(sealed, dataclasses.replace(HERE, **changed))


def test_opens_with_an_older_key_and_seals_with_the_newest() -> None:
    sealed = vault(OLD).seal("s3cret", HERE)
    both = vault(NEW, OLD)

    assert both.open(sealed, HERE) == "s3cret"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("s3cret", HERE))


@pytest.mark.parametrize("damage", ["", "v1", "v1.x.y", "v2.abc.def", "v1.{id}.", "v1.{id}.AAAA", "v1.{id}.%%%"])
def test_damaged_text_is_unreadable_and_no_crash(damage: str) -> None:
    with pytest.raises(Unreadable):
        vault(NEW).open(damage.replace("{id}", NEW.id), HERE)


def test_a_lost_key_is_unreadable() -> None:
    sealed = vault(Key.of(os.urandom(32))).seal("s3cret", HERE)

    with pytest.raises(Unreadable):
        vault(NEW).open(sealed, HERE)


def test_a_key_never_prints_itself() -> None:
    assert "nnn" not in repr(NEW)
