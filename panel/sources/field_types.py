"""The types of values that a field of a source can have: how one is checked, and its JSON Schema."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from panel.connector import check_headers, host_port_text, is_header_value, parse_host_port, sent_headers
from panel.core.errors import InvalidInput
from panel.core.messages import Message, _, any_of

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


def missing(path: str) -> InvalidInput:
    return InvalidInput(path, _("“{name}” is missing.", name=path))


class FieldType(Protocol):
    @property
    def default(self) -> Any:
        """The value of a field that is not given."""

    def read(self, path: str, raw: Any) -> Any:
        """The checked value. Raises InvalidInput(path, …)."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""


def stripped(value: str) -> str:
    return value.strip()


def unchanged(value: str) -> str:
    return value


@dataclass(frozen=True, slots=True)
class Text:
    max_length: int
    required: bool = False
    pattern: str = ""
    """A regular expression that Python and JSON Schema read alike; an empty value need not match it."""
    pattern_error: str = ""
    check: Callable[[str], None] | None = None
    """A further check of the value, which raises InvalidInput."""
    clean: Callable[[str], str] = stripped
    default: str = ""

    def read(self, path: str, raw: Any) -> str:
        if raw is not None and not isinstance(raw, str):
            raise InvalidInput(path, _("“{name}” must be text; put it in quotes.", name=path))
        value = self.clean(raw or "")
        if self.required and not value.strip():
            raise missing(path)
        if len(value) > self.max_length or _CONTROL.search(value):
            raise InvalidInput(path, _("“{name}” is too long or holds control characters.", name=path))
        if self.pattern and value and not re.fullmatch(self.pattern, value):
            raise InvalidInput(path, self.pattern_error)
        if self.check is not None:
            self.check(value)
        return value

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string", "maxLength": self.max_length}
        optional = "" if self.required else "?"
        return {**schema, "pattern": f"^({self.pattern}){optional}$"} if self.pattern else schema


@dataclass(frozen=True, slots=True)
class SecretText(Text):
    """A password or token. Line ends around it are cut, because a pasted or piped secret often has one."""

    in_header: bool = False
    """Whether the secret itself is the value of a header."""

    def read(self, path: str, raw: Any) -> str:
        value = Text.read(self, path, raw)
        if any(_is_invisible(character) for character in value):
            raise InvalidInput(
                path,
                _(
                    "“{name}” holds an invisible character, such as a tab, a line break, a no-break space or a "
                    "zero-width space; type it again without.",
                    name=path,
                ),
            )
        if self.in_header and not is_header_value(value):
            raise InvalidInput(path, _("“{name}” holds characters that cannot be sent.", name=path))
        return value


def without_line_ends(value: str) -> str:
    return value.strip("\r\n")


def without_bearer(value: str) -> str:
    """A token without spaces around it and without the word ``Bearer``, which the panel itself puts in front."""
    return re.sub(r"\Abearer(\s+|\Z)", "", value.strip(" \t\r\n"), flags=re.IGNORECASE)


def _is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") or (category == "Zs" and character != " ")


@dataclass(frozen=True, slots=True)
class Choice:
    """A required text that is one of ``values``."""

    values: tuple[str, ...]
    default: str = ""

    def read(self, path: str, raw: Any) -> str:
        if raw is None or raw == "":
            raise missing(path)
        if raw not in self.values:
            raise InvalidInput(path, _("“{name}” must be {known}.", name=path, known=any_of(self.values)))
        return str(raw)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Number:
    minimum: float
    maximum: float
    default: float | None = None
    """Also the value of an empty text, which a form sends. None where the panel has a value of its own."""
    whole: bool = False

    def read(self, path: str, raw: Any) -> float | None:
        if raw is None or raw == "":
            return self.default
        try:
            number = None if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not self.minimum <= number <= self.maximum or (self.whole and number != int(number)):
            raise InvalidInput(path, self._range(path))
        return int(number) if self.whole else number

    def _range(self, path: str) -> Message:
        limits = {"minimum": f"{self.minimum:g}", "maximum": f"{self.maximum:g}"}
        if self.whole:
            return _("“{name}” must be a whole number from {minimum} to {maximum}.", name=path, **limits)
        return _("“{name}” must be a number from {minimum} to {maximum}.", name=path, **limits)

    def schema(self) -> dict[str, Any]:
        name = "integer" if self.whole else "number"
        return {
            "type": [name, "null"] if self.default is None else name,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


@dataclass(frozen=True, slots=True)
class Flag:
    default: bool = False

    def read(self, path: str, raw: Any) -> bool:
        """Accepts ``true`` and ``false`` as text too, which is what the command line gives."""
        if isinstance(raw, str) and raw.lower() in ("true", "false"):
            return raw.lower() == "true"
        if not isinstance(raw, bool):
            raise InvalidInput(path, _("“{name}” must be true or false.", name=path))
        return raw

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class FilePath(Text):
    """The absolute path of a file on the panel's machine; empty for none. The file itself is not looked at."""

    def read(self, path: str, raw: Any) -> str:
        value = Text.read(self, path, raw)
        if value and not os.path.isabs(value):
            raise InvalidInput(path, _("“{name}” must be an absolute path.", name=path))
        return value


@dataclass(frozen=True, slots=True)
class HostPort(Text):
    """A host and a port, in their canonical spelling; empty for none."""

    def read(self, path: str, raw: Any) -> str:
        value = Text.read(self, path, raw)
        if not value:
            return ""
        try:
            return host_port_text(*parse_host_port(value))
        except InvalidInput:
            message = _("“{name}” must be a host and a port, such as tracker:8080 or [::1]:8080.", name=path)
            raise InvalidInput(path, message) from None


class Headers:
    """Extra headers by name. Their values are secrets; None stands for a value that is kept as it is stored."""

    @property
    def default(self) -> dict[str, str]:
        return {}

    def read(self, path: str, raw: Any) -> dict[str, str | None]:
        if raw is None:
            return {}
        if not isinstance(raw, Mapping) or not all(isinstance(name, str) for name in raw):
            raise InvalidInput(path, _("“{name}” must be a list of names with values; put both in quotes.", name=path))
        headers = {name: self._value(path, value) for name, value in raw.items()}
        check_headers({name: value or "" for name, value in headers.items()})
        return sent_headers(headers)

    def _value(self, path: str, raw: Any) -> str | None:
        """An empty text keeps the stored value, and so does what is returned in its place: ``{"secretSet": true}``."""
        if isinstance(raw, Mapping) and set(raw) == {"secretSet"}:
            return None
        if not isinstance(raw, str):
            raise InvalidInput(path, _("“{name}” must be a list of names with values; put both in quotes.", name=path))
        return raw.strip() or None

    def schema(self) -> dict[str, Any]:
        mark = {
            "type": "object",
            "description": "Stands for a stored value, as for a secret of the auth block.",
            "properties": {"secretSet": {"type": "boolean"}},
            "required": ["secretSet"],
            "additionalProperties": False,
        }
        value = {"type": "string", "maxLength": 2000, "writeOnly": True}
        return {"type": "object", "additionalProperties": {"oneOf": [value, mark]}}


class Options:
    """Short texts by name. An empty one counts as not given. Which names there are is for the integration to say."""

    value = Text(500)

    @property
    def default(self) -> dict[str, str]:
        return {}

    def read(self, path: str, raw: Any) -> dict[str, str]:
        if raw is None:
            return {}
        if not isinstance(raw, Mapping):
            raise InvalidInput(path, _("“{name}” must be a list of names with short texts.", name=path))
        options = {str(name): self.value.read(f"{path}.{name}", value) for name, value in raw.items()}
        return {name: value for name, value in options.items() if value}

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.value.schema()}
