"""The audit trail: who changed what, when and through which face. A line is committed together with its change.

Lines hold names and references only: no secret, no value of a setting, and no text of an upstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from panel.core.clock import now
from panel.core.domain import ObjectRef
from panel.storage.engine import db
from panel.storage.models import AuditEntry


class AuditAction(StrEnum):
    """What was done. Values never change, because stored lines hold them."""

    LINK = "link"
    CREATE = "create"
    CREATE_UNCERTAIN = "create-uncertain"
    CREATE_SETTLED = "create-settled"
    UPDATE = "update"
    UPDATE_UNCERTAIN = "update-uncertain"
    UPDATE_SETTLED = "update-settled"
    UNLINK = "unlink"
    FOLLOW = "follow"
    REPOINT = "repoint"
    NOTE = "note"

    SOURCE_CREATED = "source-created"
    SOURCE_CHANGED = "source-changed"
    SOURCE_ENABLED = "source-enabled"
    SOURCE_DISABLED = "source-disabled"
    SOURCE_IMPORTED = "source-imported"
    SOURCE_DELETED = "source-deleted"
    INSTANCE_ACCEPTED = "instance-accepted"
    SECRET_SET = "secret-set"  # noqa: S105 (a word, and no secret)
    SECRET_REMOVED = "secret-removed"  # noqa: S105
    OAUTH_CONNECTED = "oauth-connected"

    EMBED_APP_CREATED = "embed-app-created"
    EMBED_APP_CHANGED = "embed-app-changed"
    EMBED_APP_ROTATED = "embed-app-rotated"
    EMBED_APP_RETIRED = "embed-app-retired"
    EMBED_APP_ENABLED = "embed-app-enabled"
    EMBED_APP_DISABLED = "embed-app-disabled"
    EMBED_APP_DELETED = "embed-app-deleted"

    CONNECTOR_ON = "connector-on"
    CONNECTOR_OFF = "connector-off"
    KEYS_ROTATED = "keys-rotated"
    BACKUP_MADE = "backup-made"
    BACKUP_RESTORED = "backup-restored"

    TOKEN_ISSUED = "token-issued"  # noqa: S105
    TOKEN_REVOKED = "token-revoked"  # noqa: S105
    PERSON_ADDED = "person-added"
    PERSON_DISABLED = "person-disabled"
    PERSON_ENABLED = "person-enabled"
    PASSWORD_RESET = "password-reset"  # noqa: S105
    PASSWORD_CHANGED = "password-changed"  # noqa: S105
    ROLE_CHANGED = "role-changed"
    SIGNED_IN = "signed-in"
    SIGN_IN_THROTTLED = "sign-in-throttled"
    SIGNED_OUT = "signed-out"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and through which face."""

    name: str
    kind: str
    """As ``Principal.kind``; ``local:`` and the system account for someone who runs a command."""
    face: str
    request_id: str = ""


def record(
    action: AuditAction,
    actor: Actor,
    *,
    subject: str = "",
    obj: ObjectRef | None = None,
    integration: str = "",
    detail: str = "",
) -> None:
    """Add the line of a change to the session, so that one commit stores both or neither.

    ``subject`` is what was changed: an item reference, a slug, a name. ``detail`` holds names, never values.
    """
    db.session.add(AuditEntry(**line(action, actor, subject=subject, obj=obj, integration=integration, detail=detail)))


def line(
    action: AuditAction,
    actor: Actor,
    *,
    subject: str = "",
    obj: ObjectRef | None = None,
    integration: str = "",
    detail: str = "",
) -> dict[str, Any]:
    """The columns of a line, for a change that is made outside the session.

    Texts are truncated to their columns: a long name must not make a change fail.
    """
    return {
        "at": now(),
        "deed": action.value,
        "who": actor.name[:200],
        "kind": actor.kind[:60],
        "face": actor.face[:20],
        "request_id": actor.request_id[:20],
        "subject": subject[:1000],
        "register": obj.register if obj else "",
        "schema": obj.schema if obj else "",
        "object_id": obj.object_id if obj else "",
        "integration": integration[:63],
        "detail": detail[:500],
    }
