"""Signatures of embed tokens. Imported with the first token: the library for them is slow to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], secret: str, algorithm: str) -> str:
    return jwt.encode(dict(header), dict(claims), OctKey.import_key(secret), algorithms=[algorithm])


def verified(token: str, secret: str, algorithm: str) -> dict[str, Any]:
    """The claims of a token. Raises ValueError when it is not signed with the secret by this algorithm."""
    try:
        return jwt.decode(token, OctKey.import_key(secret), algorithms=[algorithm]).claims
    except (JoseError, RecursionError) as exc:
        raise ValueError("not signed with this secret") from exc
