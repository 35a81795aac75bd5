"""What the audit trail tells of sources: names of fields, and the origins a secret was typed for; never a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.sources.draft import AUTH_SHAPES

Values = Mapping[str, Any]
"""A source in its JSON shape, where ``secretSet`` stands for the secret."""


def tell(deed: AuditAction, slug: str, by: Actor, detail: str = "") -> None:
    audit.record(deed, by, subject=slug, integration=slug, detail=detail)


def tell_turned(slug: str, by: Actor, *, was: bool, on: bool) -> None:
    if was is not on:
        tell(AuditAction.SOURCE_ENABLED if on else AuditAction.SOURCE_DISABLED, slug, by)


def tell_saved(deed: AuditAction, before: Values | None, after: Values, by: Actor, *, typed_for: str) -> None:
    """The lines of what is saved; a save that leaves everything as it was has none.

    ``typed_for`` holds the origins for which a secret was typed, "" when none was.
    """
    slug, detail = after["slug"], "new" if deed is AuditAction.SOURCE_IMPORTED else ""
    if before is not None:
        detail = _changes(before, after)
    if detail or deed is not AuditAction.SOURCE_CHANGED:
        tell(deed, slug, by, detail)
    if before is not None:
        tell_turned(slug, by, was=before["enabled"], on=after["enabled"])
    had, has = (values is not None and values["auth"].get("secretSet", False) for values in (before, after))
    if typed_for and has:
        name = AUTH_SHAPES[after["auth"]["type"]].secret
        places = " and ".join(typed_for.split())
        tell(AuditAction.SECRET_SET, slug, by, f"auth.{name} {'replaced' if had else 'set'}, for {places}")
    elif had and not has:
        tell(AuditAction.SECRET_REMOVED, slug, by)


def _changes(before: Values, after: Values) -> str:
    """The names of the fields that differ; whether it is enabled has a line of its own."""
    was, will = _flat(before), _flat(after)
    return ", ".join(name for name in {**was, **will} if name != "enabled" and was.get(name) != will.get(name))


def _flat(values: Values) -> dict[str, Any]:
    """Fields by the names that people know them by (``auth.username``), without whether there is a secret."""
    auth = {f"auth.{name}": value for name, value in values["auth"].items() if name != "secretSet"}
    return {**{name: value for name, value in values.items() if name != "auth"}, **auth}
