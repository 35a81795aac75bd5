"""The auth block of a source: the keys of each way of signing in, each described once.

Form, source file, JSON, its OpenAPI description and the checks follow ``AUTH_SHAPES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.connector import GrantType, check_token_header
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.sources.field_types import (
    Choice,
    FieldType,
    SecretText,
    Text,
    missing,
    unchanged,
    without_bearer,
    without_line_ends,
)

_CODE = {"spellcheck": "false", "autocapitalize": "none"}
_NAME = {"autocomplete": "off", **_CODE}
_URL = {"inputmode": "url", **_CODE}
_SECRET = SecretText(4000, clean=without_line_ends)


@dataclass(frozen=True, slots=True)
class AuthField:
    """One key of an auth block. Its name in errors is ``auth.<name>``."""

    name: str
    label: str
    type: FieldType = field(default_factory=lambda: Text(4000, clean=unchanged))
    description: str = ""
    secret: bool = False
    """Write-only: sealed when saved and never given out. An empty one means "keep"."""
    note: str = ""
    placeholder: str = ""
    code: bool = True
    wide: bool = False
    """Whether the form gives it a line of its own."""
    choices: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Label and explanation of each value, for a field of a few values."""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"auth.{self.name}"

    def schema(self) -> dict[str, Any]:
        marks = {"writeOnly": True} if self.secret else {}
        return {**self.type.schema(), **({"description": self.description} if self.description else {}), **marks}


@dataclass(frozen=True, slots=True)
class AuthShape:
    """The keys of one kind of auth block."""

    fields: tuple[AuthField, ...] = ()

    @property
    def public(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if not field.secret)

    @property
    def secret(self) -> str | None:
        """The name of the write-only key."""
        return next((field.name for field in self.fields if field.secret), None)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)


GRANTS: Mapping[str, tuple[str, str]] = {
    GrantType.CLIENT_CREDENTIALS.value: (_("The client itself"), _("with client id and secret alone")),
    GrantType.AUTHORIZATION_CODE.value: (_("A person gives access"), _("once, at the provider; the panel renews it")),
}
AUTH_SHAPES: Mapping[str, AuthShape] = {
    "none": AuthShape(),
    "basic": AuthShape((
        AuthField(
            "username",
            _("User name"),
            Text(
                4000,
                required=True,
                pattern="[^:]*",
                pattern_error=_("A user name cannot hold a colon; give it without the prefix of a wiki."),
                clean=unchanged,
            ),
            code=False,
            attributes=_NAME,
        ),
        AuthField("password", _("Password"), _SECRET, secret=True),
    )),
    "token": AuthShape((
        AuthField(
            "token",
            _("Token"),
            SecretText(4000, clean=without_bearer, in_header=True),
            "A leading word `Bearer` is cut.",
            secret=True,
        ),
        AuthField(
            "header",
            _("Header"),
            Text(4000, check=check_token_header, clean=unchanged, default="Authorization"),
            "Header that carries the token; `Authorization: Bearer …` if omitted.",
            note=_("optional"),
            placeholder="Authorization",
            attributes={"autocomplete": "off", "spellcheck": "false"},
        ),
    )),
    "oauth2": AuthShape((
        AuthField("grantType", _("Access"), Choice(tuple(GRANTS)), choices=GRANTS),
        AuthField("tokenUrl", _("Token address"), Text(4000, required=True), wide=True, attributes=_URL),
        AuthField(
            "authorizationUrl", _("Authorisation address"), Text(4000),
            note=_("if a person gives access"), wide=True, attributes=_URL,
        ),
        AuthField("clientId", _("Client id"), Text(4000, required=True), attributes=_NAME),
        AuthField("clientSecret", _("Client secret"), _SECRET, secret=True),
        AuthField("scope", _("Scope"), Text(4000), note=_("optional"), wide=True, attributes=_CODE),
    )),
}  # fmt: skip
AUTH_ALIASES = {"bearer": "token"}
UNKNOWN_SHAPE = AuthShape((AuthField("secret", _("Secret"), _SECRET, secret=True),))
"""For a stored kind that this version does not know: whether there is a secret can still be told."""


@dataclass(frozen=True, slots=True)
class AuthValues:
    """A checked auth block. ``secret`` is None where none was given."""

    kind: str
    fields: Mapping[str, str]
    """What may be read again."""
    secret: str | None = field(default=None, repr=False)


class AuthBlock:
    """The type of the field ``auth``: exactly one block with a type."""

    default = None

    def read(self, path: str, raw: Any) -> AuthValues:
        """Raises InvalidInput naming ``auth`` or one of its keys."""
        if raw is None:
            raise InvalidInput(path, _("The source has no auth block; give one, with type none for public content."))
        if not isinstance(raw, Mapping):
            raise InvalidInput(path, _("“{name}” must be one block with a type.", name=path))
        kind = auth_kind(raw.get("type"))
        _check_keys(raw, kind)
        return _checked(kind, raw)

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/NewAuth"}


def auth_kind(raw: Any) -> str:
    kind = AUTH_ALIASES.get(raw, raw) if isinstance(raw, str) else raw
    if not isinstance(kind, str) or kind not in AUTH_SHAPES:
        raise InvalidInput(
            "auth.type", _("“{name}” must be one of {known}.", name="auth.type", known=", ".join(AUTH_SHAPES))
        )
    return kind


def check_stored(kind: str, values: Mapping[str, Any]) -> None:
    """Raise InvalidInput for a stored auth block that no call can be made with, such as one of another version."""
    for known in AUTH_SHAPES[auth_kind(kind)].fields:
        if known.choices:
            known.type.read(known.path, values.get(known.name))
        elif isinstance(known.type, Text) and known.type.required and not values.get(known.name):
            raise missing(known.path)


def _check_keys(raw: Mapping[str, Any], kind: str) -> None:
    """Keys of a second kind mean that two blocks were merged into one."""
    for key in raw:
        if key == "type" or key in AUTH_SHAPES[kind].keys:
            continue
        other = next((name for name, shape in AUTH_SHAPES.items() if key in shape.keys), None)
        if other is None:
            raise InvalidInput(f"auth.{key}", _("“{name}” is not a setting of a source.", name=f"auth.{key}"))
        raise InvalidInput(
            "auth",
            _(
                "The source has two auth blocks, {first} and {second} (“{name}”); keep exactly one.",
                first=kind,
                second=other,
                name=f"auth.{key}",
            ),
        )


def _checked(kind: str, raw: Mapping[str, Any]) -> AuthValues:
    shape = AUTH_SHAPES[kind]
    values = {
        field.name: field.type.read(field.path, raw.get(field.name, field.type.default)) for field in shape.fields
    }
    if values.get("grantType") == GrantType.AUTHORIZATION_CODE and not values["authorizationUrl"]:
        raise missing("auth.authorizationUrl")
    secret = values.pop(shape.secret) if shape.secret else ""
    return AuthValues(kind, {name: value for name, value in values.items() if value}, secret or None)
