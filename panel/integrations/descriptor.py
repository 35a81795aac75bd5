"""Reads and checks the YAML file of a leaf, which defines its forms, rows, tab, discovery entry and tool values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from panel.core.messages import Message, _


class BrokenDescriptor(Exception):
    """A leaf's YAML or row template is invalid. This stops the start; the message names the file."""


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Every command and process reads the descriptors at its start. The C loader needs a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    kind: str = "text"
    """``text``, ``textarea``, ``date``, ``select`` (options from ``Integration.choices``) or ``suggest`` (text with
    options)."""
    required: bool = False
    help: str = ""
    max_length: int | None = None
    values: tuple[str, ...] = ()
    """For an option of a source: the allowed values; empty if any text is allowed."""
    depends_on: str = ""
    """Name of the field whose value decides the choices of this one."""
    aliases: tuple[str, ...] = ()
    """Other names that JSON and agents may use."""
    half: bool = False
    """Whether it shares a line with the next field."""
    follows: str = ""
    """Name of the field whose text counts while this one is empty."""
    nested: bool = False
    """Whether its choices contain each other, so that they are browsed too: ``Integration.branch``."""
    identifies: bool = False
    """Whether it decides which item ``Integration.find_existing`` finds."""

    @property
    def word(self) -> Message:
        """The label inside a sentence: ``project``."""
        return Message(self.label.lower(), {})

    @property
    def plural(self) -> Message:
        """Several of what the label names, inside a sentence: ``projects``."""
        word = self.label.lower()
        return Message(f"{word}es" if word.endswith("s") else f"{word}s", {})


COLUMN_KINDS = frozenset({"text", "date", "breadcrumb", "priority", "pill", "number"})
_AT_MOST_ONE = ("pill", "number")


@dataclass(frozen=True, slots=True)
class Column:
    """One of ``Item.facts`` that the rows of the tab show. Title, dates and excerpt are shown without a column."""

    name: str
    """The key in ``Item.facts``."""
    label: str
    kind: str = "text"
    """Where and how the value is shown. On the line below the title: ``text`` (a text, a number or a list of them),
    ``date`` (a date after the label), ``breadcrumb`` (a list of titles that ends with the item's own) and ``priority``
    (emphasised, before the label). Beside it: ``number`` (the short id that people use) and ``pill`` (the status)."""
    empty: str = ""
    """Text for an item that does not have the fact. Without it the column is left out of that row."""
    color: str = ""
    """For ``pill``: the key of the fact that holds the colour, ``#RRGGBB``."""
    usual: tuple[str, ...] = ()
    """For ``priority``: values that begin like this, in any case, are not shown."""
    in_search: bool = True
    """Whether search results show it too."""

    @property
    def word(self) -> Message:
        """The label inside a sentence: ``priority``."""
        return Message(self.label.lower(), {})


@dataclass(frozen=True, slots=True)
class Preset:
    """One way to sign in that the source form offers."""

    id: str
    auth: str
    label: str
    hint: str = ""
    username: str | None = None
    """A fixed user name; None lets the administrator type one."""
    secret_label: str = _("Password")
    header: str = ""
    """For ``token``: the header that carries it where the upstream fixes it; else the administrator may type one."""
    grants: tuple[str, ...] = ("client_credentials", "authorization_code")
    """For ``oauth2``: the grants that the upstream offers, the default first."""
    token_path: str = ""
    """For ``oauth2``: default paths of the token and authorization endpoints, below the instance root."""
    authorization_path: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    id: str
    label: str
    upstream: str
    icon: str
    noun: str
    noun_plural: str
    location_hint: str
    group: str = "external"
    required_app: str = "openconnector"
    order: int = 100
    storage_strategy: str = "external"
    surfaces: tuple[str, ...] = ("user-dashboard", "app-dashboard", "detail-page", "single-entity")
    reference_label: str = _("Reference")
    reference_aliases: tuple[str, ...] = ("reference",)
    """Payload keys that may hold the reference of a link."""
    reference_kind: str = "mono"
    """How a bare reference is shown: ``mono`` (a path) or ``number`` (#1528)."""
    presets: tuple[Preset, ...] = ()
    options: tuple[Field, ...] = ()
    """Extra settings of a source of this kind, such as a wiki id."""
    create: tuple[Field, ...] = ()
    update: tuple[Field, ...] = ()
    columns: tuple[Column, ...] = ()
    """What a row shows below and beside the title, in this order. Without columns it shows the reference."""
    sorts: Mapping[str, str] = field(default_factory=dict)
    """Orders of the rows with their labels, the first one by default: ``updated``, ``linked``, ``title``, ``due``, or
    the name of a fact."""
    person: str = ""
    """The fact that names whom an item is assigned to. A list can be filtered by it; a column has its label."""
    excerpts: bool = False
    """Whether rows show an excerpt, which the browser loads row by row."""

    @classmethod
    def load(cls, path: Path) -> Descriptor:
        """Read and check one descriptor. Raises BrokenDescriptor naming file and key."""
        try:
            raw = yaml.load(path.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 (both are safe loaders)
            return cls._from(dict(raw), folder=path.parent.name)
        except (OSError, yaml.YAMLError, TypeError, ValueError, KeyError) as exc:
            raise BrokenDescriptor(f"{path.parent.name}/{path.name}: {exc}") from exc

    @classmethod
    def _from(cls, raw: dict[str, Any], *, folder: str) -> Descriptor:
        if raw.get("id") != folder:
            raise ValueError(f"id must be {folder!r}, the folder's name")
        _refuse_unknown(raw, cls)
        typed: dict[str, type] = {
            "options": Field, "create": Field, "update": Field, "presets": Preset, "columns": Column,
        }  # fmt: skip
        for key, kind in typed.items():
            raw[key] = tuple(_build(kind, entry) for entry in raw.get(key, ()))
        for key in ("surfaces", "reference_aliases"):
            if key in raw:
                raw[key] = tuple(raw[key])
        raw["sorts"] = {name: Message(label, {}) for name, label in raw.get("sorts", {}).items()}
        _check_columns(raw["columns"])
        return cls(**_with_messages(raw))


def _build(kind: type, entry: Mapping[str, Any]) -> Any:
    values = dict(entry)
    _refuse_unknown(values, kind)
    for key in ("aliases", "grants", "usual", "values"):
        if key in values:
            values[key] = tuple(values[key])
    return kind(**_with_messages(values))


TEXTS = ("label", "noun", "noun_plural", "reference_label", "help", "hint", "secret_label", "empty")
"""The keys whose values are texts for people, beside the labels of ``sorts``."""


def _with_messages(values: Mapping[str, Any]) -> dict[str, Any]:
    """The texts as Messages, so that they are translated when they are shown."""
    return {key: _message(value) if key in TEXTS else value for key, value in values.items()}


def _message(value: Any) -> Any:
    return Message(value, {}) if isinstance(value, str) and value else value


def texts_of(part: Any) -> Iterator[str]:
    """All texts for people in a descriptor or a part of it."""
    if isinstance(part, Message):
        yield part
    elif isinstance(part, Mapping):
        yield from chain.from_iterable(map(texts_of, part.values()))
    elif isinstance(part, tuple):
        yield from chain.from_iterable(map(texts_of, part))
    elif is_dataclass(part):
        yield from _words_of(part)
        yield from chain.from_iterable(texts_of(getattr(part, entry.name)) for entry in fields(part))


def _words_of(part: Any) -> Iterator[str]:
    if isinstance(part, Field) and part.kind in ("select", "suggest"):
        yield from (part.word, part.plural)
    elif isinstance(part, Column) and part.kind == "priority":
        yield part.word


def _check_columns(columns: Sequence[Column]) -> None:
    for column in columns:
        if column.kind not in COLUMN_KINDS:
            raise ValueError(f"column {column.name!r} has the unknown kind {column.kind!r}")
    for kind in _AT_MOST_ONE:
        if len([column for column in columns if column.kind == kind]) > 1:
            raise ValueError(f"there is more than one column of kind {kind!r}")


def _refuse_unknown(raw: Mapping[str, Any], kind: type) -> None:
    unknown = set(raw) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r} in {kind.__name__.lower()}")
