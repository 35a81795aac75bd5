"""``/healthz`` and ``/readyz``: whether the process lives, and whether it can answer. They never ask an upstream."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, jsonify

from panel.web.context import panel

bp = Blueprint("readiness", __name__)
ENDPOINTS = frozenset({"readiness.healthz", "readiness.readyz"})


@bp.get("/healthz")
def healthz() -> Response:
    """This process answers."""
    return _answer({"process": True})


@bp.get("/readyz")
def readyz() -> Response:
    """The database answers and has the schema of this version, and the keys open what is stored in it."""
    return _answer(panel().readiness.results())


def _answer(checks: Mapping[str, bool]) -> Response:
    words = {name: "ok" if ok else "unavailable" for name, ok in checks.items()}
    is_well = all(checks.values())
    response = jsonify(status="ok" if is_well else "unavailable", checks=words)
    response.status_code = 200 if is_well else 503
    if not is_well:
        response.headers["Retry-After"] = "1"
    return response
