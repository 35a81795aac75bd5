"""Create intents: a create with an idempotency key happens once, however often it is requested.

An intent keeps hashes of key and request and, once known, the reference; no content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from panel.core.domain import ObjectRef
from panel.core.errors import Conflict
from panel.core.messages import _
from panel.storage.engine import db
from panel.storage.models import CreateIntent


def begin(
    principal: str, key: str, integration: str, obj: ObjectRef, values: Mapping[str, Any]
) -> tuple[CreateIntent, bool]:
    """Flush a new intent, which the caller commits, or return that of an earlier, finished create and True.

    Raises Conflict when the key belongs to another request or to a create that has not finished.
    """
    key_hash, request_hash = _hash(key), _request_hash(integration, obj, values)
    intent = CreateIntent(principal=principal, key_hash=key_hash, request_hash=request_hash)
    db.session.add(intent)
    try:
        db.session.flush()
        return intent, False
    except IntegrityError:
        db.session.rollback()
    return _finished(principal, key_hash, request_hash), True


def _finished(principal: str, key_hash: str, request_hash: str) -> CreateIntent:
    earlier = db.session.scalar(
        select(CreateIntent).where(CreateIntent.principal == principal, CreateIntent.key_hash == key_hash)
    )
    if earlier is None:
        raise Conflict(_("A create with this Idempotency-Key just failed; try again."))
    if earlier.request_hash != request_hash:
        raise Conflict(_("This Idempotency-Key was used for another request."))
    if earlier.reference is None:
        raise Conflict(
            _("A create with this Idempotency-Key is under way or ended without an answer. Check before trying again.")
        )
    return earlier


def _request_hash(integration: str, obj: ObjectRef, values: Mapping[str, Any]) -> str:
    request = [integration, obj.register, obj.schema, obj.object_id, dict(values)]
    return _hash(json.dumps(request, sort_keys=True, default=str))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
