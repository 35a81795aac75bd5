"""Encryption of credentials at rest, with associated data and several keys.

A sealed text is ``v1.<key id>.<base64 of nonce and ciphertext>``, encrypted with AES-256-GCM. The associated data binds
it to a source, kind and origin: copied to another row or origin, it does not open.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panel.config import Config, ConfigError, own_keys, parse_keys, sync_folder

RETIRED_OPENS_S = 30.0


class Unreadable(Exception):
    """A sealed credential cannot be opened: missing key, damaged text, or other associated data."""


@dataclass(frozen=True, slots=True)
class AssociatedData:
    """What a credential is bound to: it opens only with exactly the same values."""

    source_id: str
    kind: str
    origin: str

    def as_bytes(self) -> bytes:
        return "\x1f".join(("leafpanel", self.source_id, self.kind, self.origin)).encode()


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, raw: bytes) -> Key:
        return cls(hashlib.sha256(b"leafpanel key id" + raw).hexdigest()[:8], raw)


class Vault:
    """Seals with the newest key and opens with any. ``keys`` is called each time, so that a rotation takes effect."""

    def __init__(self, keys: Callable[[], tuple[Key, ...]]) -> None:
        self._keys = keys

    def seal(self, text: str, associated_data: AssociatedData) -> str:
        # A random nonce of 96 bits is safe for 2**32 texts per key, far more than there are credentials.
        key, nonce = self._keys()[0], secrets.token_bytes(12)
        sealed = nonce + AESGCM(key.raw).encrypt(nonce, text.encode(), associated_data.as_bytes())
        return f"v1.{key.id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, associated_data: AssociatedData) -> str:
        """Raises Unreadable."""
        version, _, rest = sealed.partition(".")
        key_id, _, packed = rest.partition(".")
        key = next((k for k in self._keys() if k.id == key_id), None)
        if version != "v1" or key is None:
            raise Unreadable("no key for this credential")
        try:
            raw = base64.urlsafe_b64decode(packed)
            return AESGCM(key.raw).decrypt(raw[:12], raw[12:], associated_data.as_bytes()).decode()
        except (InvalidTag, ValueError) as exc:
            raise Unreadable("the credential does not open") from exc

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._keys()[0].id

    def is_current(self, sealed: str) -> bool:
        """Whether it was sealed with the newest key."""
        return sealed.startswith(f"v1.{self.newest}.")


@dataclass(frozen=True, slots=True)
class _KeyFileState:
    """The key file as last read, and the keys that it held before."""

    stamp: tuple[int, int]
    keys: tuple[Key, ...]
    retired: tuple[Key, ...] = ()
    until: float = 0.0

    def in_force(self) -> tuple[Key, ...]:
        return self.keys + self.retired if self.retired and time.monotonic() < self.until else self.keys


def keys_of(config: Config) -> Callable[[], tuple[Key, ...]]:
    """A function that returns the current keys: those of the setting, or of the key file, re-read when it changes.

    A retired key still opens for ``RETIRED_OPENS_S``: a request may hold a text that it read before the rotation.
    """
    if config.encryption_keys:
        fixed = tuple(Key.of(raw) for raw in config.encryption_keys)
        return lambda: fixed
    file, state = config.keys_file, _KeyFileState((0, 0), read_own_keys(config))

    def read() -> tuple[Key, ...]:
        nonlocal state
        status = os.stat(file)
        # The inode changes with every replacement, also within the resolution of the time.
        stamp = (status.st_mtime_ns, status.st_ino)
        if state.stamp != stamp:
            keys = read_own_keys(config)
            state = _KeyFileState(stamp, keys, _retired(state, keys), time.monotonic() + RETIRED_OPENS_S)
        return state.in_force()

    read()
    return read


def _retired(state: _KeyFileState, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    return tuple(key for key in state.in_force() if key not in keys)


def new_key() -> Key:
    return Key.of(secrets.token_bytes(32))


def read_own_keys(config: Config) -> tuple[Key, ...]:
    """The keys of the instance folder, newest first. Raises ConfigError when the file is damaged."""
    try:
        keys = parse_keys(own_keys(config))
    except ValueError as exc:
        raise ConfigError(f"The file encryption_keys in the instance folder is damaged: {exc}.") from None
    if not keys:
        raise ConfigError("The file encryption_keys in the instance folder holds no key.")
    return tuple(Key.of(raw) for raw in keys)


def write_own_keys(config: Config, keys: tuple[Key, ...]) -> None:
    """Replace the key file of the instance folder atomically: after a power cut, it is the old or the new one."""
    draft = config.keys_file.with_name(".encryption_keys.next")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(base64.urlsafe_b64encode(key.raw).decode() + "\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, config.keys_file)
    sync_folder(config.instance_dir)
