"""What the audit log says about sources: names of fields, and the origins a secret was typed for; never a value."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.sources.auth_fields import AUTH_SHAPES

Values = Mapping[str, Any]
"""A source in its JSON shape, where ``secretSet`` stands for the secret."""


def record(action: AuditAction, slug: str, by: Actor, detail: str = "") -> None:
    audit.record(action, by, subject=slug, integration=slug, detail=detail)


def record_enabled(slug: str, by: Actor, *, before: bool, after: bool) -> None:
    """Record that a source is switched on or off; nothing if it was so before."""
    if before is not after:
        record(AuditAction.SOURCE_ENABLED if after else AuditAction.SOURCE_DISABLED, slug, by)


def record_saved(
    action: AuditAction, before: Values | None, after: Values, by: Actor, *, typed_for: str, typed_headers: bool
) -> None:
    """Record a save. A save that changes nothing has no line.

    ``typed_for`` holds the origins for which a secret was typed, "" when none was. ``typed_headers`` says whether a
    value of an extra header was typed, which the values before and after do not show.
    """
    slug, detail = after["slug"], "new" if action is AuditAction.SOURCE_IMPORTED else ""
    if before is not None:
        detail = _changed_names(before, after, {"headers"} if typed_headers else set())
    if detail or action is not AuditAction.SOURCE_CHANGED:
        record(action, slug, by, detail)
    if before is not None:
        record_enabled(slug, by, before=before["enabled"], after=after["enabled"])
    _record_secret(before, after, by, typed_for)


def _record_secret(before: Values | None, after: Values, by: Actor, typed_for: str) -> None:
    had, has = (values is not None and values["auth"].get("secretSet", False) for values in (before, after))
    if typed_for and has:
        name = AUTH_SHAPES[after["auth"]["type"]].secret
        origins = " and ".join(typed_for.split())
        detail = f"auth.{name} {'replaced' if had else 'set'}, for {origins}"
        record(AuditAction.SECRET_SET, after["slug"], by, detail)
    elif had and not has:
        record(AuditAction.SECRET_REMOVED, after["slug"], by)


def _changed_names(before: Values, after: Values, typed: Set[str]) -> str:
    """The names of the fields that differ or were typed, without ``enabled``, which has a line of its own."""
    old, new = _flat(before), _flat(after)
    changed = [name for name in {**old, **new} if name in typed or old.get(name) != new.get(name)]
    return ", ".join(name for name in changed if name != "enabled")


def _flat(values: Values) -> dict[str, Any]:
    """Fields by the names that people know them by (``auth.username``), without whether there is a secret."""
    auth = {f"auth.{name}": value for name, value in values["auth"].items() if name != "secretSet"}
    return {**{name: value for name, value in values.items() if name != "auth"}, **auth}
