"""What a source may consist of: one checked shape behind the form, the JSON body and the YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.connector import check_headers, check_token_header
from panel.core.errors import InvalidInput

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RATE_LIMIT = re.compile(r"([1-9]\d{0,6})/(second|minute|hour|day)")

KEYS = (
    "slug", "name", "description", "location", "enabled", "auth", "headers",
    "rate_limit", "max_concurrency", "timeout_s", "ca_file", "options",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuthShape:
    """The keys of one kind of auth block; ``secret`` names the write-only one."""

    public: tuple[str, ...]
    secret: str | None
    required: tuple[str, ...] = ()


AUTH_SHAPES: Mapping[str, AuthShape] = {
    "none": AuthShape((), None),
    "basic": AuthShape(("username",), "password", ("username",)),
    "token": AuthShape(("header",), "token"),
    "oauth2": AuthShape(
        ("grantType", "tokenUrl", "authorizationUrl", "clientId", "scope"),
        "clientSecret",
        ("grantType", "tokenUrl", "clientId"),
    ),
}
AUTH_ALIASES = {"bearer": "token"}
GRANTS = ("client_credentials", "authorization_code")


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked source that is not stored yet. ``secret`` is None where none was typed."""

    slug: str
    name: str
    location: str
    description: str = ""
    enabled: bool = True
    auth_kind: str = "none"
    auth_fields: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    rate_limit: str = ""
    max_concurrency: int = 8
    timeout_s: float | None = None
    ca_file: str = ""


def read_draft(raw: Mapping[str, Any]) -> Draft:
    """Check a source in its JSON shape. Raises InvalidInput naming the setting."""
    unknown = [key for key in raw if key not in KEYS]
    if unknown:
        raise InvalidInput(str(unknown[0]), f"“{unknown[0]}” is not a setting of a source.")
    slug = _text(raw, "slug", required=True, most=63)
    if not SLUG.fullmatch(slug):
        raise InvalidInput("slug", "The slug may have small letters, digits and dashes only.")
    kind, auth_fields, secret = read_auth(raw.get("auth"))
    return Draft(
        slug=slug,
        name=_text(raw, "name", most=200) or slug,
        description=_text(raw, "description", most=4000),
        location=_text(raw, "location", required=True, most=2000),
        enabled=_flag(raw, "enabled", default=True),
        auth_kind=kind,
        auth_fields=auth_fields,
        secret=secret,
        headers=_headers(raw.get("headers")),
        options=_options(raw.get("options")),
        rate_limit=_rate_limit(raw),
        max_concurrency=int(_number(raw, "max_concurrency", least=1, most=100, default=8, whole=True) or 8),
        timeout_s=_number(raw, "timeout_s", least=0.1, most=120, default=None),
        ca_file=_text(raw, "ca_file", most=1000),
    )


def read_auth(raw: Any) -> tuple[str, dict[str, str], str | None]:
    """Kind, readable fields and secret of the one auth block. Raises InvalidInput("auth…")."""
    if raw is None:
        raise InvalidInput("auth", "The source has no auth block; give one, with type none for public content.")
    if not isinstance(raw, Mapping):
        raise InvalidInput("auth", "“auth” must be one block with a type.")
    kind = auth_kind(raw.get("type"))
    shape = AUTH_SHAPES[kind]
    _one_block(raw, kind)
    given = {
        key: _text(raw, key, most=4000, path=f"auth.{key}")
        for key in (*shape.public, shape.secret)
        if key and key in raw
    }
    for key in shape.required:
        if not given.get(key):
            raise InvalidInput(f"auth.{key}", f"“auth.{key}” is missing.")
    if kind == "token":
        check_token_header(given.setdefault("header", "Authorization"))
    if kind == "oauth2" and given["grantType"] not in GRANTS:
        raise InvalidInput("auth.grantType", f"“auth.grantType” must be {' or '.join(GRANTS)}.")
    if kind == "oauth2" and given["grantType"] == GRANTS[1] and not given.get("authorizationUrl"):
        raise InvalidInput("auth.authorizationUrl", "“auth.authorizationUrl” is missing.")
    if kind == "basic" and ":" in given["username"]:
        raise InvalidInput("auth.username", "A user name cannot hold a colon.")
    secret = given.pop(shape.secret, "") if shape.secret else ""
    if kind == "oauth2":
        given = {key: value.strip() for key, value in given.items() if value.strip()}
    return kind, given, secret or None


def auth_kind(raw: Any) -> str:
    kind = AUTH_ALIASES.get(raw, raw) if isinstance(raw, str) else raw
    if not isinstance(kind, str) or kind not in AUTH_SHAPES:
        raise InvalidInput("auth.type", f"“auth.type” must be one of {', '.join(AUTH_SHAPES)}.")
    return kind


def _one_block(raw: Mapping[str, Any], kind: str) -> None:
    """Keys of a second kind mean that two blocks were merged into one."""
    own = {"type", *AUTH_SHAPES[kind].public, AUTH_SHAPES[kind].secret}
    for key in raw:
        if key in own:
            continue
        other = next((name for name, shape in AUTH_SHAPES.items() if key in (*shape.public, shape.secret)), None)
        if other is None:
            raise InvalidInput(f"auth.{key}", f"“auth.{key}” is not a setting of a source.")
        raise InvalidInput(
            "auth", f"The source has two auth blocks, {kind} and {other} (“auth.{key}”); keep exactly one."
        )


def _text(raw: Mapping[str, Any], key: str, *, most: int, required: bool = False, path: str = "") -> str:
    value, path = raw.get(key), path or key
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise InvalidInput(path, f"“{path}” must be text; put it in quotes.")
    value = value.strip() if not path.startswith("auth.") else value
    if required and not value.strip():
        raise InvalidInput(path, f"“{path}” is missing.")
    if len(value) > most or any(ord(c) < 32 and c not in "\n\t" for c in value):
        raise InvalidInput(path, f"“{path}” is too long or holds control characters.")
    return value


def _flag(raw: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = raw.get(key, default)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidInput(key, f"“{key}” must be true or false.")
    return value


def _number(
    raw: Mapping[str, Any], key: str, *, least: float, most: float, default: float | None, whole: bool = False
) -> float | None:
    value = raw.get(key)
    if value is None or value == "":
        return default
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise InvalidInput(key, f"“{key}” must be {kind} from {least:g} to {most:g}.")
    return number


def _rate_limit(raw: Mapping[str, Any]) -> str:
    value = _text(raw, "rate_limit", most=40).replace(" ", "")
    if value and not RATE_LIMIT.fullmatch(value):
        raise InvalidInput("rate_limit", "“rate_limit” must be like 60/minute (per second, minute, hour or day).")
    return value


def _headers(raw: Any) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or not all(isinstance(text, str) for pair in raw.items() for text in pair):
        raise InvalidInput("headers", "“headers” must be a list of names with values; put both in quotes.")
    headers = {name: value.strip() for name, value in raw.items()}
    check_headers(headers)
    return headers


def _options(raw: Any) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or not all(isinstance(v, str) and len(v) <= 500 for v in raw.values()):
        raise InvalidInput("options", "“options” must be a list of names with short texts.")
    return {str(name): value.strip() for name, value in raw.items() if value.strip()}
