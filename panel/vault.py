"""Credentials at rest: seal and open with associated data, several keys at once. Never prints one.

Sealed text is ``v1.<key id>.<base64 of nonce and ciphertext>`` under AES-256-GCM. The associated data says to which
source, kind and origin a credential belongs: moved to another row or origin it does not open.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panel.config import Config, ConfigError, own_keys, parse_keys


class Unreadable(Exception):
    """A sealed credential cannot be opened: lost or wrong key, damaged text, or not meant for this place."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a credential is bound to. Change one part and it does not open any more."""

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
    """Seals with the newest key and opens with any. ``keys`` is asked each time, so that a rotation is picked up."""

    def __init__(self, keys: Callable[[], tuple[Key, ...]]) -> None:
        self._keys = keys

    def seal(self, text: str, belonging: Belonging) -> str:
        key, nonce = self._keys()[0], secrets.token_bytes(12)
        sealed = nonce + AESGCM(key.raw).encrypt(nonce, text.encode(), belonging.as_bytes())
        return f"v1.{key.id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, belonging: Belonging) -> str:
        """Raises Unreadable."""
        version, _, rest = sealed.partition(".")
        key_id, _, packed = rest.partition(".")
        key = next((k for k in self._keys() if k.id == key_id), None)
        if version != "v1" or key is None:
            raise Unreadable("no key for this credential")
        try:
            raw = base64.urlsafe_b64decode(packed)
            return AESGCM(key.raw).decrypt(raw[:12], raw[12:], belonging.as_bytes()).decode()
        except (InvalidTag, ValueError) as exc:
            raise Unreadable("the credential does not open") from exc

    def is_current(self, sealed: str) -> bool:
        """Whether it was sealed with the newest key."""
        return sealed.startswith(f"v1.{self._keys()[0].id}.")


def keys_of(config: Config) -> Callable[[], tuple[Key, ...]]:
    """The keys in force: of the setting, or of the instance folder, read again whenever its file changes."""
    if config.encryption_keys:
        fixed = tuple(Key.of(raw) for raw in config.encryption_keys)
        return lambda: fixed
    own_keys(config)
    seen: tuple[tuple[int, int], tuple[Key, ...]] | None = None

    def read() -> tuple[Key, ...]:
        nonlocal seen
        status = os.stat(config.keys_file)
        stamp = (status.st_mtime_ns, status.st_ino)
        if seen is None or seen[0] != stamp:
            seen = (stamp, _parse_own(own_keys(config)))
        return seen[1]

    read()
    return read


def _parse_own(text: str) -> tuple[Key, ...]:
    try:
        keys = parse_keys(text)
    except ValueError as exc:
        raise ConfigError(f"The file encryption_keys in the instance folder is damaged: {exc}.") from None
    if not keys:
        raise ConfigError("The file encryption_keys in the instance folder holds no key.")
    return tuple(Key.of(raw) for raw in keys)
