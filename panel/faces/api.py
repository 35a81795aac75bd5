"""The JSON face. Paths, envelopes and errors are a contract with host applications."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from panel.access import Action, Principal
from panel.domain import Health, Ladder, ObjectRef, Row
from panel.errors import InvalidInput, NotFound, PanelError
from panel.faces import json_error
from panel.faces.causes import unavailable
from panel.faces.context import panel, visitor
from panel.faces.session import current_user
from panel.integrations.contract import Integration
from panel.links import DEFAULT_LIMIT, MAX_LIMIT, Visitor
from panel.sources import Saved
from panel.version import VERSION

bp = Blueprint("api", __name__, url_prefix="/api")

OBJECT = "/objects/<register>/<schema>/<object_id>"
KEY_LENGTH = 255


class Unauthorized(PanelError):
    """No valid token, and no session that may do this."""


# --- who asks ------------------------------------------------------------------------------------------------------


def principal() -> Principal:
    """The owner of the bearer token, or, for reading only, the person of the browser session. Raises Unauthorized."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        found = panel().access.by_token(token.strip())
        if found is None:
            raise Unauthorized("This token is not valid.")
        return found
    user = current_user()
    if user is None:
        raise Unauthorized("This needs a token: Authorization: Bearer …")
    if request.method not in ("GET", "HEAD"):
        raise Unauthorized("A browser session does not write here; use a token.")
    return panel().access.principal_of(user)


def asking() -> Visitor:
    return visitor(principal(), "JSON")


def admin() -> Principal:
    found = principal()
    found.require(Action.ADMIN)
    return found


@bp.errorhandler(Unauthorized)
def _unauthorized(exc: Unauthorized) -> Response:
    body = {"message": str(exc), "error": str(exc), "code": 401}
    return json_error(body, headers={"WWW-Authenticate": 'Bearer realm="Leafpanel"'})


# --- what is asked -------------------------------------------------------------------------------------------------


def _payload() -> dict[str, Any]:
    """The JSON object of the body. Raises InvalidInput."""
    if not request.get_data(cache=True):
        return {}
    try:
        body = request.get_json(force=True)
    except (HTTPException, RecursionError):
        raise InvalidInput("body", "The body is not readable JSON.") from None
    if not isinstance(body, dict):
        raise InvalidInput("body", "The body must be a JSON object.")
    return body


def _positive(name: str, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) < 10**9:
        raise InvalidInput(name, f"“{name}” must be a whole number from 1.")
    return int(text)


def _object(register: str, schema: str, object_id: str) -> ObjectRef:
    for name, value in (("register", register), ("schema", schema), ("objectId", object_id)):
        if not value.strip() or len(value) > 255 or not value.isprintable():
            raise InvalidInput(name, f"“{name}” must be 1 to 255 printable characters.")
    return ObjectRef(register, schema, object_id)


def reference_in(leaf: Integration, payload: Mapping[str, Any]) -> str:
    """The reference under any of its names; numbers are taken as ids. Raises InvalidInput."""
    for name in ("reference", *leaf.descriptor.reference_aliases):
        value = payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            raise InvalidInput("reference", f"“{name}” must be an address, id or reference.")
    raise InvalidInput("reference", "“reference” is missing: give an address, id or reference.")


def create_values(leaf: Integration, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The create fields with their other names folded into ours."""
    values = dict(payload)
    for field in leaf.descriptor.create:
        for alias in field.aliases:
            if alias in values and field.name not in values:
                values[field.name] = values.pop(alias)
    return values


# --- what is answered ----------------------------------------------------------------------------------------------


def moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None


def row_json(leaf: Integration, row: Row) -> dict[str, Any]:
    """A linked item: the leaf's row and who linked it when."""
    shape = leaf.row(row.item) if row.item is not None else {}
    return {**shape, "linkedBy": row.pointer.linked_by, "linkedAt": moment(row.pointer.linked_at)}


def _with_etag(body: dict[str, Any]) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    response = Response(text + "\n", content_type="application/json")
    response.set_etag(hashlib.sha256(text.encode()).hexdigest()[:32])
    return response.make_conditional(request)


# --- objects -------------------------------------------------------------------------------------------------------


def _list(register: str, schema: str, object_id: str, integration: str) -> Response:
    who, leaf = asking(), panel().registry.get(integration)
    limit, page = min(_positive("_limit", DEFAULT_LIMIT), MAX_LIMIT), _positive("_page", 1)
    obj = _object(register, schema, object_id)
    search = request.args.get("_search", "").strip()[:200]
    listing = panel().links.listing(who, integration, obj, limit=limit, page=page, search=search)
    if listing.problem is not None:
        raise unavailable(listing.problem, integration, tuple(row.pointer for row in listing.rows))
    items = [row_json(leaf, row) for row in listing.rows]
    return _with_etag(
        {"items": items, "results": items, "total": listing.total, "page": page, "limit": limit, "nextCursor": None}
    )


def _link(register: str, schema: str, object_id: str, integration: str) -> tuple[Response, int]:
    who, leaf = asking(), panel().registry.get(integration)
    who.principal.require(Action.LINK)
    text = reference_in(leaf, _payload())
    row = panel().links.link(who, integration, _object(register, schema, object_id), text)
    return jsonify(row_json(leaf, row)), 201


def _create(register: str, schema: str, object_id: str, integration: str) -> tuple[Response, int]:
    who, leaf = asking(), panel().registry.get(integration)
    who.principal.require(Action.CREATE)
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > KEY_LENGTH:
        raise InvalidInput("Idempotency-Key", f"“Idempotency-Key” has at most {KEY_LENGTH} characters.")
    values = create_values(leaf, _payload())
    row = panel().links.create(who, integration, _object(register, schema, object_id), values, key=key or None)
    return jsonify(row_json(leaf, row)), 201


def _item(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Response:
    who, leaf = asking(), panel().registry.get(integration)
    row = panel().links.item(who, integration, _object(register, schema, object_id), entity_id)
    body = row_json(leaf, row)
    if row.item is not None and row.item.excerpt is not None:
        body["content"] = row.item.excerpt
    return jsonify(body)


def _update(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Response:
    who, leaf = asking(), panel().registry.get(integration)
    obj = _object(register, schema, object_id)
    return jsonify(row_json(leaf, panel().links.update(who, integration, obj, entity_id, _payload())))


def _unlink(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> tuple[str, int]:
    panel().links.unlink(asking(), integration, _object(register, schema, object_id), entity_id)
    return "", 204


def _older(integration: str) -> str:
    """Older paths name the leaf where any word fits; a word that is no leaf is no path of ours."""
    if panel().registry.find(integration) is None:
        raise NotFound("There is nothing at this address.")
    return integration


@bp.route(f"{OBJECT}/integrations/<integration>", methods=["GET", "POST"])
def collection(register: str, schema: str, object_id: str, integration: str) -> Any:
    act = _list if request.method in ("GET", "HEAD") else _link
    return act(register, schema, object_id, integration)


@bp.post(f"{OBJECT}/integrations/<integration>/new")
def create(register: str, schema: str, object_id: str, integration: str) -> Any:
    return _create(register, schema, object_id, integration)


@bp.route(f"{OBJECT}/integrations/<integration>/<path:entity_id>", methods=["GET", "PATCH", "DELETE"])
def entity(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Any:
    act = {"PATCH": _update, "DELETE": _unlink}.get(request.method, _item)
    return act(register, schema, object_id, integration, entity_id)


@bp.route(f"{OBJECT}/<integration>", methods=["GET", "POST"])
def older_collection(register: str, schema: str, object_id: str, integration: str) -> Any:
    principal()
    return collection(register, schema, object_id, _older(integration))


@bp.post(f"{OBJECT}/<integration>/new")
def older_create(register: str, schema: str, object_id: str, integration: str) -> Any:
    principal()
    return _create(register, schema, object_id, _older(integration))


@bp.route(f"{OBJECT}/<integration>/<path:entity_id>", methods=["GET", "PATCH", "DELETE"])
def older_entity(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Any:
    principal()
    return entity(register, schema, object_id, _older(integration), entity_id)


# --- integrations --------------------------------------------------------------------------------------------------


def describe(leaf: Integration, *, for_admin: bool) -> dict[str, Any]:
    """The discovery row. What only administrators may know is left out for others, not nulled."""
    card = leaf.descriptor
    row: dict[str, Any] = {
        "id": card.id,
        "label": card.label,
        "icon": card.icon,
        "group": card.group,
        "enabled": panel().switches.connector_on(),
        "requiredApp": card.required_app,
        "storageStrategy": card.storage_strategy,
        "surfaces": list(card.surfaces),
    }
    if for_admin:
        row |= {"requiresPermission": None, "openConnectorSource": leaf.id, "authStatus": _known_health(leaf)}
    return row


def _known_health(leaf: Integration) -> dict[str, Any]:
    """What is known without asking the upstream."""
    source = panel().sources.find(leaf.id)
    if source is None:
        return {"status": "unavailable", "authStatus": "missing", "message": "There is no source yet."}
    check = panel().sources.last_check(source)
    if check is None:
        return {"status": "unknown", "authStatus": "unknown", "message": "Not checked yet."}
    return {
        "status": check.status,
        "authStatus": check.auth_status,
        "message": None,
        "checkedAt": moment(check.checked_at),
    }


@bp.get("/integrations")
def integrations() -> Response:
    who = principal()
    rows = [describe(leaf, for_admin=who.is_admin) for leaf in panel().registry.all()]
    group, enabled = request.args.get("group"), request.args.get("enabled")
    rows = [row for row in rows if group in (None, "", row["group"])]
    if enabled in ("true", "false"):
        rows = [row for row in rows if row["enabled"] == (enabled == "true")]
    return jsonify({"integrations": rows, "items": rows, "results": rows, "total": len(rows)})


@bp.get("/integrations/<integration>")
def integration_card(integration: str) -> Response:
    return jsonify(describe(panel().registry.get(integration), for_admin=principal().is_admin))


@bp.get("/integrations/<integration>/available")
def available(integration: str) -> Response:
    who, leaf = asking(), panel().registry.get(integration)
    named = [request.args.get(name, "") for name in ("register", "schema", "objectId")]
    obj = _object(*named) if any(named) else None
    text = (request.args.get("search") or request.args.get("q") or "")[:2000]
    found = panel().links.available(who, integration, text, limit=_positive("limit", 25), obj=obj)
    rows = []
    for hit in found:
        row = {**leaf.row(hit.item), "title": hit.item.title, "url": hit.item.url}
        rows.append(row if hit.linked is None else {**row, "linked": hit.linked})
    return jsonify({"results": rows, "items": rows, "total": len(rows)})


@bp.get("/integrations/<integration>/health")
def health(integration: str) -> Response:
    return jsonify(health_json(panel().links.health(asking(), integration)))


def health_json(found: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": found.status, "authStatus": found.auth_status, "message": found.message}
    for key, value in (("reason", found.reason), ("user", found.user), ("version", found.version)):
        if value is not None:
            body[key] = value
    return {**body, "checkedAt": moment(found.checked_at)}


# --- sources -------------------------------------------------------------------------------------------------------


def _saved(saved: Saved) -> Response:
    body = _source(saved.source.slug)
    return jsonify({**body, "warnings": list(saved.warnings)} if saved.warnings else body)


def _source(slug: str) -> dict[str, Any]:
    sources = panel().sources
    source = sources.get(slug)
    values = sources.values(source)
    _, resolved = sources.addresses(slug, source.location, source.options)
    return {**values, "resolved": resolved, "revision": source.revision, "updatedAt": moment(source.updated_at)}


@bp.get("/sources")
def sources() -> Response:
    admin()
    rows = [_source(source.slug) for source in panel().sources.all()]
    return jsonify({"items": rows, "results": rows, "total": len(rows)})


@bp.post("/sources")
def create_source() -> tuple[Response, int]:
    who = admin()
    return _saved(panel().sources.create(_payload(), by=who.name)), 201


@bp.route("/sources/<slug>", methods=["GET", "PATCH", "DELETE"])
def source(slug: str) -> Any:
    who = admin()
    if request.method == "PATCH":
        return _saved(panel().sources.change(slug, _payload(), by=who.name))
    if request.method == "DELETE":
        panel().sources.delete(slug)
        return "", 204
    return jsonify(_source(slug))


@bp.post("/sources/<slug>/test")
def test_source(slug: str) -> Response:
    who = admin()
    values = _payload() or None
    if values is None:
        panel().sources.get(slug)
    return jsonify(ladder_json(panel().sources.test(slug, values, caller=visitor(who, "test").caller)))


def ladder_json(ladder: Ladder) -> dict[str, Any]:
    rungs = [{"rung": rung.name, "ok": rung.ok, "message": rung.message} for rung in ladder.rungs]
    problem = ladder.problem
    return {
        "ok": ladder.ok,
        "rungs": rungs,
        "cause": problem.cause.value if problem else None,
        "reason": problem.reason.value if problem else None,
    }


# --- description ---------------------------------------------------------------------------------------------------


@cache
def _description() -> Any:
    return yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text("utf-8"))


@bp.get("/openapi.json")
def openapi() -> Response:
    """This face as an OpenAPI document, with the panel's own address and leaves. Nobody needs to sign in for it."""
    document = copy.deepcopy(_description())
    document["servers"] = [{"url": panel().config.public_url}]
    document["info"]["version"] = VERSION
    document["components"]["parameters"]["Integration"]["schema"]["enum"] = panel().registry.ids()
    return jsonify(document)
