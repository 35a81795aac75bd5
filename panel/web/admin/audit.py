"""The page of the audit trail, with filters, and its export as CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, render_template, request, url_for

from panel.core.clock import now
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.links import open_creates, open_updates
from panel.logs import audit_query
from panel.logs.audit import AuditAction
from panel.logs.audit_query import AuditFilter
from panel.storage.models import AuditEntry, OpenCreate, OpenUpdate
from panel.storage.paging import Page
from panel.web import export
from panel.web.admin.audit_words import detail_words
from panel.web.context import panel
from panel.web.formatting import short_day
from panel.web.zone import local, start_of

bp = Blueprint("audit", __name__)

FILTERS = ("who", "deed", "object", "integration", "since", "until", "text")
MAX_FILTER_LENGTH = 300
HEADER = (
    "time", "deed", "who", "kind", "face", "reference", "register", "schema", "object id", "integration", "subject",
    "detail",
)  # fmt: skip
KEYS = (
    "at", "deed", "who", "kind", "face", "requestId", "register", "schema", "objectId", "integration", "subject",
    "detail",
)  # fmt: skip

LABELS_BY_GROUP: Mapping[str, Mapping[AuditAction, str]] = {
    _("Links"): {
        AuditAction.LINK: _("Linked"),
        AuditAction.UNLINK: _("Unlinked"),
        AuditAction.FOLLOW: _("Link updated"),
        AuditAction.REPOINT: _("Link replaced"),
        AuditAction.NOTE: _("Note changed"),
        AuditAction.CREATE: _("Created"),
        AuditAction.CREATE_UNCERTAIN: _("Create unconfirmed"),
        AuditAction.CREATE_SETTLED: _("Create settled"),
        AuditAction.UPDATE: _("Changed upstream"),
        AuditAction.UPDATE_UNCERTAIN: _("Change unconfirmed"),
        AuditAction.UPDATE_SETTLED: _("Change settled"),
    },
    _("Sources"): {
        AuditAction.SOURCE_CREATED: _("Source created"),
        AuditAction.SOURCE_CHANGED: _("Source changed"),
        AuditAction.SOURCE_IMPORTED: _("Source imported"),
        AuditAction.SOURCE_ENABLED: _("Source enabled"),
        AuditAction.SOURCE_DISABLED: _("Source disabled"),
        AuditAction.SOURCE_DELETED: _("Source deleted"),
        AuditAction.INSTANCE_ACCEPTED: _("Other instance accepted"),
        AuditAction.SECRET_SET: _("Secret set"),
        AuditAction.SECRET_REMOVED: _("Secret removed"),
        AuditAction.OAUTH_CONNECTED: _("OAuth connected"),
    },
    _("Connector, keys and backups"): {
        AuditAction.CONNECTOR_ON: _("Connector turned on"),
        AuditAction.CONNECTOR_OFF: _("Connector turned off"),
        AuditAction.KEYS_ROTATED: _("Keys rotated"),
        AuditAction.BACKUP_MADE: _("Backup made"),
        AuditAction.BACKUP_RESTORED: _("Backup restored"),
    },
    _("Embedding"): {
        AuditAction.EMBED_APP_CREATED: _("Application created"),
        AuditAction.EMBED_APP_CHANGED: _("Application changed"),
        AuditAction.EMBED_APP_ROTATED: _("Embed secret rotated"),
        AuditAction.EMBED_APP_RETIRED: _("Embed secret retired"),
        AuditAction.EMBED_APP_ENABLED: _("Application enabled"),
        AuditAction.EMBED_APP_DISABLED: _("Application disabled"),
        AuditAction.EMBED_APP_DELETED: _("Application deleted"),
    },
    _("API tokens"): {
        AuditAction.TOKEN_ISSUED: _("Token created"),
        AuditAction.TOKEN_REVOKED: _("Token revoked"),
    },
    _("People"): {
        AuditAction.PERSON_ADDED: _("User created"),
        AuditAction.PERSON_ENABLED: _("User enabled"),
        AuditAction.PERSON_DISABLED: _("User disabled"),
        AuditAction.ROLE_CHANGED: _("Role changed"),
        AuditAction.PASSWORD_RESET: _("Password reset"),
        AuditAction.PASSWORD_CHANGED: _("Password changed"),
        AuditAction.SIGNED_IN: _("Signed in"),
        AuditAction.SIGNED_OUT: _("Signed out"),
        AuditAction.SIGN_IN_THROTTLED: _("Sign-in throttled"),
    },
}
LABELS = {action.value: label for group in LABELS_BY_GROUP.values() for action, label in group.items()}
WARNINGS = frozenset({AuditAction.CREATE_UNCERTAIN, AuditAction.UPDATE_UNCERTAIN, AuditAction.SIGN_IN_THROTTLED})


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry as the page shows it."""

    entry: AuditEntry
    when: str
    label: str
    detail: str
    is_warning: bool
    who: str
    """The name, followed by the embedding application that chose it."""
    vouched: str
    """How the name was established, where it was not by signing in."""
    object: str
    """The object in the form that the filter accepts; "" when the action concerns none."""

    @classmethod
    def of(cls, entry: AuditEntry, apps: Mapping[str, str]) -> AuditLine:
        kind, _colon, name = entry.kind.partition(":")
        app = apps.get(name) or _("a deleted application") if kind == "embed" else ""
        # Lines of version 0.2 have the name without the application.
        who = entry.who if not app or entry.who.endswith(f" ({app})") else _("{who} ({app})", who=entry.who, app=app)
        vouched = {
            "embed": _("named by an embedding application"),
            "token": _("API token"),
            "local": _("account {name}", name=name),
        }
        how = vouched.get(kind, "") if name or kind == "token" else ""
        at = local(entry.at)
        when, label = f"{short_day(at)} {at:%H:%M}", LABELS.get(entry.deed, entry.deed)
        return cls(entry, when, label, detail_words(entry), entry.deed in WARNINGS, who, how, object_path(entry))


def object_path(entry: AuditEntry | OpenCreate | OpenUpdate) -> str:
    """``register/schema/id``, with ``%`` and ``/`` inside a part percent-encoded."""
    parts = (entry.register, entry.schema, entry.object_id) if entry.object_id else ()
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


@bp.get("/audit")
def index() -> tuple[str, int]:
    filters = _filters()
    try:
        query = _query(filters)
    except InvalidInput as exc:
        return _page(filters, errors={exc.field: exc.message}), 422
    return _page(filters, audit_query.page(query, before=request.args.get("before", 0, type=int))), 200


def _page(
    filters: Mapping[str, str], found: Page[AuditEntry] | None = None, *, errors: Mapping[str, str] | None = None
) -> str:
    apps = {app.id: app.name for app in panel().embed_apps.all()}
    return render_template(
        "admin/audit.html",
        filters=filters,
        active=_active(filters),
        missing=open_creates.unknown_count() + open_updates.unrecorded_count(),
        errors=errors or {},
        actions=LABELS_BY_GROUP,
        integrations=_integrations(),
        found=found,
        lines=[AuditLine.of(entry, apps) for entry in found.rows] if found is not None else [],
        older=_page_url(filters, found.older) if found is not None else None,
        newer=_page_url(filters, found.newer) if found is not None else None,
    )


def _filters() -> dict[str, str]:
    return {name: request.args.get(name, "").strip()[:MAX_FILTER_LENGTH] for name in FILTERS}


def _active(filters: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value}


def _page_url(filters: Mapping[str, str], before: int | None) -> str | None:
    return None if before is None else url_for(".index", **_active(filters), before=before or None)


def _integrations() -> list[str]:
    sources = (source.slug for source in panel().sources.all())
    return sorted({*audit_query.integrations(), *panel().registry.ids(), *sources})


def _query(filters: Mapping[str, str]) -> AuditFilter:
    """Raises InvalidInput for a value that cannot be parsed: ignoring it would return lines that do not match."""
    until, path = _midnight(filters, "until"), filters["object"].rstrip("/")
    return AuditFilter(
        who=filters["who"],
        deed=filters["deed"],
        object=tuple(unquote(part) for part in path.split("/", 2)) if path else (),
        integration=filters["integration"],
        since=_midnight(filters, "since"),
        until=until + timedelta(days=1) if until is not None else None,
        text=filters["text"],
    )


def _midnight(filters: Mapping[str, str], field: str) -> datetime | None:
    """The start of a day in the time zone of the reader. Raises InvalidInput."""
    if not filters[field]:
        return None
    try:
        day = date.fromisoformat(filters[field])
    except ValueError:
        day = None
    if day is None or not 1970 < day.year < 9999:
        raise InvalidInput(field, _("Write the day as 2026-10-31."))
    return start_of(day)


# --- export ----------------------------------------------------------------------------------------------------------


@bp.get("/audit.csv")
def as_csv() -> Response:
    rows = (_cells(entry) for entry in audit_query.every_line(_query(_filters())))
    return export.as_csv(_file_name("csv"), HEADER, rows)


@bp.get("/audit.json")
def as_json() -> Response:
    return export.as_json(_file_name("json"), map(entry_json, audit_query.every_line(_query(_filters()))))


def entry_json(entry: Any) -> dict[str, object]:
    return dict(zip(KEYS, _cells(entry), strict=True))


def _file_name(extension: str) -> str:
    return f"leafpanel-audit-{now():%Y-%m-%d}.{extension}"


def _cells(entry: Any) -> tuple[object, ...]:
    return (
        entry.at.isoformat(timespec="milliseconds"), entry.deed, entry.who, entry.kind, entry.face, entry.request_id,
        entry.register, entry.schema, entry.object_id, entry.integration, entry.subject, entry.detail,
    )  # fmt: skip
