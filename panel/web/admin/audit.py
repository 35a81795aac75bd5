"""The audit trail: who changed what, when and through which face; as a page, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, render_template, request, url_for

from panel.core.clock import now
from panel.core.errors import InvalidInput
from panel.logs import audit_query
from panel.logs.audit import AuditAction
from panel.logs.audit_query import Wanted
from panel.storage.models import AuditEntry
from panel.storage.paging import Lines
from panel.web import export
from panel.web.context import panel
from panel.web.formatting import short_day

bp = Blueprint("audit", __name__)

FIELDS = ("who", "deed", "object", "integration", "since", "until", "text")
LONGEST = 300
HEADER = (
    "time", "deed", "who", "kind", "face", "reference", "register", "schema", "object id", "integration", "subject",
    "detail",
)  # fmt: skip
KEYS = (
    "at", "deed", "who", "kind", "face", "requestId", "register", "schema", "objectId", "integration", "subject",
    "detail",
)  # fmt: skip

WORDS: Mapping[str, Mapping[AuditAction, str]] = {
    "Links": {
        AuditAction.LINK: "Linked",
        AuditAction.UNLINK: "Unlinked",
        AuditAction.CREATE: "Created",
        AuditAction.CREATE_UNCERTAIN: "Create unanswered",
        AuditAction.UPDATE: "Changed upstream",
        AuditAction.UPDATE_UNCERTAIN: "Change unanswered",
    },
    "Sources": {
        AuditAction.SOURCE_CREATED: "Source made",
        AuditAction.SOURCE_CHANGED: "Source changed",
        AuditAction.SOURCE_IMPORTED: "Source imported",
        AuditAction.SOURCE_ENABLED: "Source switched on",
        AuditAction.SOURCE_DISABLED: "Source switched off",
        AuditAction.SOURCE_DELETED: "Source deleted",
        AuditAction.INSTANCE_ACCEPTED: "Other instance accepted",
        AuditAction.SECRET_SET: "Secret typed",
        AuditAction.SECRET_REMOVED: "Secret removed",
        AuditAction.OAUTH_CONNECTED: "Access given (OAuth)",
    },
    "Connector and keys": {
        AuditAction.CONNECTOR_ON: "Connector on",
        AuditAction.CONNECTOR_OFF: "Connector off",
        AuditAction.KEYS_ROTATED: "Keys rotated",
    },
    "Embedding": {
        AuditAction.EMBED_APP_CREATED: "Application added",
        AuditAction.EMBED_APP_CHANGED: "Origins changed",
        AuditAction.EMBED_APP_ROTATED: "New embed secret",
        AuditAction.EMBED_APP_RETIRED: "Embed secret retired",
        AuditAction.EMBED_APP_ENABLED: "Application on",
        AuditAction.EMBED_APP_DISABLED: "Application off",
        AuditAction.EMBED_APP_DELETED: "Application removed",
    },
    "API tokens": {
        AuditAction.TOKEN_ISSUED: "Token issued",
        AuditAction.TOKEN_REVOKED: "Token revoked",
    },
    "People": {
        AuditAction.PERSON_ADDED: "Person added",
        AuditAction.PERSON_ENABLED: "Person let in again",
        AuditAction.PERSON_DISABLED: "Person kept out",
        AuditAction.ROLE_CHANGED: "Role changed",
        AuditAction.PASSWORD_RESET: "Password reset",
        AuditAction.PASSWORD_CHANGED: "Own password changed",
        AuditAction.SIGNED_IN: "Signed in",
        AuditAction.SIGNED_OUT: "Signed out",
        AuditAction.SIGN_IN_THROTTLED: "Sign-in slowed down",
    },
}
LABELS = {deed.value: label for group in WORDS.values() for deed, label in group.items()}
DOUBTFUL = frozenset({AuditAction.CREATE_UNCERTAIN, AuditAction.UPDATE_UNCERTAIN, AuditAction.SIGN_IN_THROTTLED})


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in words."""

    entry: AuditEntry
    when: str
    label: str
    doubtful: bool
    app: str
    """The embedding application that vouched for this name."""
    account: str
    """What else the name is that of: an API token, an account of the system."""
    object: str
    """The object as the field above takes it, "" when the deed was done to none."""

    @classmethod
    def of(cls, entry: AuditEntry, apps: Mapping[str, str]) -> Line:
        kind, _, which = entry.kind.partition(":")
        app = apps.get(which, "an application that is gone") if kind == "embed" else ""
        account = "API token" if kind == "token" else f"account {which}" if which else ""
        local = entry.at.astimezone()
        when, label = f"{short_day(local)} {local:%H:%M}", LABELS.get(entry.deed, entry.deed)
        return cls(entry, when, label, entry.deed in DOUBTFUL, app, account, object_path(entry))


def object_path(entry: AuditEntry) -> str:
    """``register/schema/id``, with what would be taken for a separator written as in an address."""
    parts = (entry.register, entry.schema, entry.object_id) if entry.object_id else ()
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


@bp.get("/audit")
def index() -> tuple[str, int]:
    asked = _asked()
    try:
        wanted = _wanted(asked)
    except InvalidInput as exc:
        return _page(asked, errors={exc.field: str(exc)}), 422
    return _page(asked, audit_query.lines(wanted, before=request.args.get("before", 0, type=int))), 200


def _page(
    asked: Mapping[str, str], found: Lines[AuditEntry] | None = None, *, errors: Mapping[str, str] | None = None
) -> str:
    apps = {app.id: app.name for app in panel().embed_apps.all()}
    return render_template(
        "admin/audit.html",
        asked=asked,
        given=_given(asked),
        errors=errors or {},
        deeds=WORDS,
        integrations=_integrations(),
        found=found,
        lines=[Line.of(entry, apps) for entry in found.rows] if found is not None else [],
        older=_page_of(asked, found.older) if found is not None else None,
        newer=_page_of(asked, found.newer) if found is not None else None,
    )


def _asked() -> dict[str, str]:
    return {name: request.args.get(name, "").strip()[:LONGEST] for name in FIELDS}


def _given(asked: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value}


def _page_of(asked: Mapping[str, str], mark: int | None) -> str | None:
    return None if mark is None else url_for(".index", **_given(asked), before=mark or None)


def _integrations() -> list[str]:
    sources = (source.slug for source in panel().sources.all())
    return sorted({*audit_query.integrations(), *panel().registry.ids(), *sources})


def _wanted(asked: Mapping[str, str]) -> Wanted:
    """Raises InvalidInput: what cannot be understood must not read as if nothing had been asked for."""
    until, place = _midnight(asked, "until"), asked["object"].rstrip("/")
    return Wanted(
        who=asked["who"],
        deed=asked["deed"],
        object=tuple(unquote(part) for part in place.split("/", 2)) if place else (),
        integration=asked["integration"],
        since=_midnight(asked, "since"),
        until=until + timedelta(days=1) if until is not None else None,
        text=asked["text"],
    )


def _midnight(asked: Mapping[str, str], field: str) -> datetime | None:
    """The beginning of a day as the clock of this server has it. Raises InvalidInput."""
    if not asked[field]:
        return None
    try:
        day = date.fromisoformat(asked[field])
    except ValueError:
        day = None
    if day is None or not 1970 < day.year < 9999:
        raise InvalidInput(field, "Write the day as 2026-10-31.")
    return datetime(day.year, day.month, day.day).astimezone()


# --- files -----------------------------------------------------------------------------------------------------------


@bp.get("/audit.csv")
def as_csv() -> Response:
    rows = (_cells(entry) for entry in audit_query.every_line(_wanted(_asked())))
    return export.as_csv(_name("csv"), HEADER, rows)


@bp.get("/audit.json")
def as_json() -> Response:
    return export.as_json(_name("json"), map(entry_json, audit_query.every_line(_wanted(_asked()))))


def entry_json(entry: Any) -> dict[str, object]:
    return dict(zip(KEYS, _cells(entry), strict=True))


def _name(ending: str) -> str:
    return f"leafpanel-audit-{now():%Y-%m-%d}.{ending}"


def _cells(entry: Any) -> tuple[object, ...]:
    return (
        entry.at.isoformat(timespec="milliseconds"), entry.deed, entry.who, entry.kind, entry.face, entry.request_id,
        entry.register, entry.schema, entry.object_id, entry.integration, entry.subject, entry.detail,
    )  # fmt: skip
