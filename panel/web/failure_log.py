"""Storage failures in the log: one line each, and a traceback for the first of its kind in this process."""

from __future__ import annotations

import logging

from flask import current_app

from panel.web.context import request_id

log = logging.getLogger(__name__)

_KEY = "leafpanel.storage_failures"


def log_storage_failure(exc: Exception) -> None:
    """Log what the database's driver raised, without its message: that can hold the values of a row."""
    kind = _kind(exc)
    seen: set[str] = current_app.extensions.setdefault(_KEY, set())
    log.error("%s storage: %s", request_id(), kind, exc_info=None if kind in seen else exc)
    seen.add(kind)


def _kind(exc: Exception) -> str:
    """Such as ``OperationalError SQLITE_FULL`` or ``LockNotAvailable 55P03``."""
    cause = getattr(exc, "orig", None) or exc
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {code}" if code else type(cause).__name__
