"""Registers and integrations to which API tokens and embedding applications are limited. No names mean no limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text import checked_line


def clean_registers(names: Iterable[str]) -> list[str] | None:
    """The names once each; None without any. Raises InvalidInput("registers")."""
    return list(dict.fromkeys(checked_line("registers", name, 255, what=_("A register")) for name in names)) or None


def clean_integrations(ids: Iterable[str], known: Collection[str]) -> list[str] | None:
    """The ids once each; None without any. Raises InvalidInput("integrations") for an id that is not ``known``."""
    ids = list(dict.fromkeys(ids))
    for leaf in ids:
        if leaf not in known:
            raise InvalidInput(
                "integrations",
                _("There is no integration “{name}”. There are {known}.", name=leaf[:63], known=", ".join(known)),
            )
    return ids or None


def as_limit(stored: Collection[str] | None) -> frozenset[str] | None:
    """A stored list as ``Limits`` has it."""
    return frozenset(stored) if stored is not None else None
