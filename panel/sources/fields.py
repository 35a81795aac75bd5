"""The fields of a source, each described once.

Form, source file, JSON, its OpenAPI description, the checks, the stored row and the audit log follow this list.
``FIELDS`` is in the order of a source file. The keys of the auth block are in ``auth_fields.py``; the options of a leaf
are in its descriptor (``options.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from panel.core.messages import _
from panel.sources.auth_fields import AuthBlock
from panel.sources.field_types import FieldType, FilePath, Flag, Headers, HostPort, Number, Options, Text


class Section(StrEnum):
    """A part of the source form."""

    IDENTITY = "identity"
    """Name, slug and location, which the page places by hand."""
    LIMITS = "limits"
    OPTIONS = "options"


class Input(StrEnum):
    """How a form asks for a value."""

    LINE = "line"
    HEADERS = "headers"
    """Several lines of ``Name: value``."""
    CHECKBOX = "checkbox"


@dataclass(frozen=True, slots=True)
class Control:
    """Where and how the source form asks for a field."""

    section: Section
    input: Input = Input.LINE
    note: str = ""
    """A word in brackets after the label."""
    help: str = ""
    placeholder: str = ""
    code: bool = False
    """Whether the value is shown in the typeface of code."""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceField:
    """One field. ``name`` is its key in JSON and in errors, and the name of its column."""

    name: str
    label: str
    type: FieldType
    description: str = ""
    """For the OpenAPI document."""
    control: Control | None = None
    """None for a field that the form leaves as it is, or asks for in a block of its own."""
    file_key: str = ""
    """The key in a source file where it is another one than ``name``."""
    always_in_file: bool = False
    """Whether an export has the field even while it is empty."""

    @property
    def key_in_file(self) -> str:
        return self.file_key or self.name

    def read(self, raw: Mapping[str, Any]) -> Any:
        """The checked value of this field in a source in its JSON shape. Raises InvalidInput."""
        return self.type.read(self.name, raw.get(self.name, self.type.default))

    def schema(self) -> dict[str, Any]:
        return {**self.type.schema(), **({"description": self.description} if self.description else {})}

    @property
    def attributes(self) -> dict[str, str]:
        """The HTML attributes of its input."""
        longest = {"maxlength": str(self.type.max_length)} if isinstance(self.type, Text) else {}
        return {**longest, **(self.control.attributes if self.control else {})}


FIELDS: tuple[SourceField, ...] = (
    SourceField(
        "slug",
        _("Slug"),
        Text(
            63,
            required=True,
            pattern="[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            pattern_error=_("The slug may have small letters, digits and dashes only."),
        ),
        "Equals the id of the integration that uses the source.",
        Control(
            Section.IDENTITY,
            help=_("A short name for addresses and files: small letters, digits and dashes. It cannot change later."),
            code=True,
        ),
        file_key="reference",
        always_in_file=True,
    ),
    SourceField("name", _("Name"), Text(200), control=Control(Section.IDENTITY), always_in_file=True),
    SourceField("description", _("Description"), Text(4000)),
    SourceField(
        "location",
        _("Location"),
        Text(2000, required=True),
        "Instance root, API address, or the address of any page.",
        Control(
            Section.IDENTITY,
            placeholder="https://upstream.example.org",
            code=True,
            attributes={"inputmode": "url", "spellcheck": "false", "autocapitalize": "none"},
        ),
        always_in_file=True,
    ),
    SourceField(
        "enabled", _("Enabled"), Flag(default=True),
        control=Control(Section.OPTIONS, Input.CHECKBOX), always_in_file=True,
    ),
    SourceField("auth", _("Sign-in"), AuthBlock(), always_in_file=True),
    SourceField(
        "headers",
        _("Extra headers"),
        Headers(),
        "Extra headers of every call. Headers that the connector sets itself are refused. Values are secrets: they are"
        " never returned, and an empty value, or what was returned, keeps the stored one.",
        Control(
            Section.OPTIONS,
            Input.HEADERS,
            note=_("optional, one per line"),
            help=_("Values are secrets and are not shown. A name without a value keeps the stored one."),
            placeholder=_("Name: value"),
            code=True,
        ),
    ),
    SourceField("options", _("Options"), Options(), "Settings of the integration, such as the wiki's id."),
    SourceField(
        "rate_limit",
        _("Rate limit"),
        Text(
            40,
            pattern="[1-9][0-9]{0,6}/(second|minute|hour|day)",
            pattern_error=_("“{name}” must be like 60/minute (per second, minute, hour or day).", name="rate_limit"),
            clean=lambda value: value.replace(" ", "").strip(),
        ),
        "Such as `60/minute`; empty means no limit.",
        Control(Section.LIMITS, placeholder=_("no limit"), help=_("Such as 60/minute.")),
    ),
    SourceField(
        "max_concurrency",
        _("Requests at once"),
        Number(1, 100, default=8, whole=True),
        "Calls to the upstream at the same time.",
        Control(Section.LIMITS, placeholder="8", attributes={"inputmode": "numeric"}),
    ),
    SourceField(
        "timeout_s",
        _("Timeout"),
        Number(0.1, 120),
        "Seconds in which the upstream must have answered. Null means the panel's own deadline.",
        Control(Section.LIMITS, note=_("seconds"), attributes={"inputmode": "decimal"}),
    ),
    SourceField(
        "ca_file",
        _("CA file"),
        FilePath(1000),
        "A file on the panel's machine with the CA certificates to trust.",
        Control(
            Section.OPTIONS,
            note=_("optional"),
            placeholder="/etc/ssl/certs/our-ca.pem",
            code=True,
            attributes={"spellcheck": "false"},
        ),
    ),
    SourceField(
        "connect_to",
        _("Connect to"),
        HostPort(300),
        "Host and port that connections go to, when the location is an address that only browsers reach. The location"
        " stays the address of links, of the Host header, of the certificate and of the secret.",
        Control(
            Section.OPTIONS,
            note=_("optional"),
            help=_("If the panel reaches the server under another address than people do."),
            placeholder="tracker:8080",
            code=True,
            attributes={"spellcheck": "false", "autocapitalize": "none", "data-address": ""},
        ),
    ),
)  # fmt: skip


def names() -> tuple[str, ...]:
    """The keys of a source in its JSON shape, in the order of ``FIELDS``."""
    return tuple(field.name for field in FIELDS)


def columns() -> tuple[SourceField, ...]:
    """The fields that are stored as they are, in the column of their name.

    The auth block and the extra headers, which hold secrets, have columns of their own.
    """
    return tuple(field for field in FIELDS if not isinstance(field.type, AuthBlock | Headers))


def readable() -> tuple[SourceField, ...]:
    """The fields that are written and read in one form. Only the auth block has two."""
    return tuple(field for field in FIELDS if not isinstance(field.type, AuthBlock))


def blocks() -> frozenset[str]:
    """The keys whose value is a block with keys of its own."""
    return frozenset(field.name for field in FIELDS if isinstance(field.type, AuthBlock | Headers | Options))
