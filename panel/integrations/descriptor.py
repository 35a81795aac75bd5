"""The YAML beside each leaf, checked and typed. Forms, tab strip, discovery and tool enum are drawn from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml


class BrokenDescriptor(Exception):
    """A leaf's YAML is wrong; the start is refused, naming the file."""


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Every command and every process reads the descriptors as it starts; the loader in C takes a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form that a leaf asks for."""

    name: str
    label: str
    kind: str = "text"
    """``text``, ``textarea``, ``select`` (options from ``Integration.choices``) or ``suggest`` (text with options)."""
    required: bool = False
    help: str = ""
    max_length: int | None = None
    values: tuple[str, ...] = ()
    """For an option of a source: the values that it may have; empty where any text may stand."""
    depends_on: str = ""
    """Name of the field whose change asks for new choices."""
    aliases: tuple[str, ...] = ()
    """Other names under which JSON and agents may give it."""
    half: bool = False
    """Shares a line with the next field where there is room."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One way of signing in, as offered on the source form."""

    id: str
    auth: str
    label: str
    hint: str = ""
    username: str | None = None
    """A user name that is always the same; None lets the administrator type one."""
    secret_label: str = "Password"  # noqa: S105 (a label)
    grants: tuple[str, ...] = ("client_credentials", "authorization_code")
    """For ``oauth2``: the grants that the upstream offers, the usual one first."""
    token_path: str = ""
    """For ``oauth2``: where below the instance root tokens and consent are had, when nobody types another address."""
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
    docs: str
    location_hint: str
    group: str = "external"
    required_app: str = "openconnector"
    order: int = 100
    storage_strategy: str = "external"
    surfaces: tuple[str, ...] = ("user-dashboard", "app-dashboard", "detail-page", "single-entity")
    reference_label: str = "Reference"
    reference_aliases: tuple[str, ...] = ("reference",)
    """Payload keys under which a link may be given, besides ``reference``."""
    reference_kind: str = "mono"
    """How a bare reference is shown: ``mono`` (a path) or ``number`` (#1528)."""
    presets: tuple[Preset, ...] = ()
    options: tuple[Field, ...] = ()
    """Extra settings of a source of this kind (wiki id …)."""
    create: tuple[Field, ...] = ()
    update: tuple[Field, ...] = ()
    sorts: Mapping[str, str] = field(default_factory=dict)
    excerpts: bool = False
    """Whether rows show the beginning of the thing's text, which is asked for row by row."""

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
        _known(raw, cls)
        typed: dict[str, type] = {"options": Field, "create": Field, "update": Field, "presets": Preset}
        for key, kind in typed.items():
            raw[key] = tuple(_build(kind, entry) for entry in raw.get(key, ()))
        for key in ("surfaces", "reference_aliases"):
            if key in raw:
                raw[key] = tuple(raw[key])
        return cls(**raw)


def _build(kind: type, entry: Mapping[str, Any]) -> Any:
    values = dict(entry)
    _known(values, kind)
    for key in ("aliases", "grants", "values"):
        if key in values:
            values[key] = tuple(values[key])
    return kind(**values)


def _known(raw: Mapping[str, Any], kind: type) -> None:
    unknown = set(raw) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r} in {kind.__name__.lower()}")
