"""The JSON face. Host applications rely on its paths, bodies and errors."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from panel.accounts.principal import Action
from panel.core.domain import ConnectionTest, Listing, ObjectRef, Step
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable
from panel.core.messages import _
from panel.core.text import refuse_surrogates
from panel.core.version import VERSION
from panel.integrations.contract import Integration
from panel.links.kept_lists import KeptList
from panel.links.reading import DEFAULT_LIMIT
from panel.links.visitor import Visitor
from panel.sources.service import Saved
from panel.storage.engine import db
from panel.web.api.conditional import etag_of, tagged
from panel.web.api.description import openapi_document
from panel.web.auth.bearer import Unauthorized, unauthorized
from panel.web.choices import choices_json, find_choices
from panel.web.context import acting, admitted, leaves_for, panel, revision, visitor
from panel.web.error_bodies import error_body, in_language, name_language
from panel.web.language import error_language
from panel.web.parsing import (
    PICKER_LENGTH,
    PICKER_LIMIT,
    SEARCH_LENGTH,
    create_values,
    field_texts,
    idempotency_key,
    object_ref,
    positive,
    reference_in,
    search_text,
)
from panel.web.serialize import found_json, health_json, item_json, known_health, list_json, moment, row_json
from panel.web.translations import ENGLISH

bp = Blueprint("api", __name__, url_prefix="/api")
bp.register_error_handler(Unauthorized, unauthorized)

OBJECT = "/objects/<part:register>/<part:schema>/<part:object_id>"


# --- request ---------------------------------------------------------------------------------------------------------


def json_visitor() -> Visitor:
    """The principal of this request as a visitor of the JSON face."""
    return visitor(admitted(), "JSON")


def payload() -> dict[str, Any]:
    """The JSON object in the body, {} for an empty body. Raises InvalidInput."""
    if not request.get_data(cache=True):
        return {}
    try:
        body = request.get_json(force=True)
    except (HTTPException, RecursionError):
        raise InvalidInput("body", _("The body is not readable JSON.")) from None
    if not isinstance(body, dict):
        raise InvalidInput("body", _("The body must be a JSON object."))
    refuse_surrogates(body, field="body")
    return body


# --- response --------------------------------------------------------------------------------------------------------


# --- objects ---------------------------------------------------------------------------------------------------------


def _list(register: str, schema: str, object_id: str, integration: str) -> Response:
    who, leaf = json_visitor(), panel().registry.get(integration)
    limit = positive("_limit", request.args.get("_limit"), DEFAULT_LIMIT)
    page = positive("_page", request.args.get("_page"), 1)
    obj = object_ref(register, schema, object_id)
    search = search_text("_search", request.args.get("_search", ""), SEARCH_LENGTH)
    who.principal.require(Action.VIEW, obj, integration)
    key = (integration, obj, limit, page, search)
    answer = panel().kept_lists.find(key, at=revision())
    if answer is None:
        # The check of the token has ended, and what follows shall see a state that is not older than the revision.
        db.session.rollback()
        begun_at = panel().kept_lists.begin()
        listing = panel().links.listing(who, integration, obj, limit=limit, page=page, search=search)
        answer = _list_answer(leaf, listing)
        panel().kept_lists.keep(key, answer, begun_at)
    elif answer.reason is not None:
        panel().call_log.note(integration, who.caller, answer.reason)
    return _list_response(answer)


def _list_answer(leaf: Integration, listing: Listing) -> KeptList:
    """The answer for a listing. Raises ProviderUnavailable for a problem that may end by itself."""
    try:
        body = list_json(leaf, listing)
    except ProviderUnavailable as exc:
        if listing.holds_until <= time.monotonic():
            raise
        failure = error_body(exc, public_url=panel().config.public_url)
        return KeptList(_json(failure), "", failure["code"], listing.holds_until, exc.reason, failure)
    text = _list_text(body).encode()
    return KeptList(text + b"\n", etag_of(text), 200, listing.holds_until)


def _list_text(body: dict[str, Any]) -> str:
    """The JSON text of a list, whose items are encoded once although they occur twice."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    items = encode(body["items"])
    rest = {name: value for name, value in body.items() if name not in ("items", "results")}
    return f'{{"items":{items},"results":{items},{encode(rest)[1:]}'


def _list_response(answer: KeptList) -> Response:
    """304 for a client that has this list already."""
    if answer.reason is not None:
        return _failure_response(answer)
    return tagged(answer.body, answer.etag)


def _failure_response(answer: KeptList) -> Response:
    """A kept failure in the language that this request asks for."""
    spoken = error_language()
    body = answer.body if spoken == ENGLISH else answer.in_languages.get(spoken)
    if body is None:
        body = answer.in_languages[spoken] = _json(in_language(dict(answer.failure), spoken))
    response = Response(body, answer.status, content_type="application/json")
    name_language(response, spoken)
    return response


def _json(body: dict[str, Any]) -> bytes:
    return jsonify(body).get_data()


def _link(register: str, schema: str, object_id: str, integration: str) -> tuple[Response, int]:
    who, leaf = json_visitor(), panel().registry.get(integration)
    text = reference_in(leaf, payload())
    row = panel().links.link(who, integration, object_ref(register, schema, object_id), text)
    return jsonify(row_json(leaf, row)), 201


def _create(register: str, schema: str, object_id: str, integration: str) -> tuple[Response, int]:
    who, leaf = json_visitor(), panel().registry.get(integration)
    key = idempotency_key("Idempotency-Key", request.headers.get("Idempotency-Key", ""))
    values = create_values(leaf, payload())
    row = panel().links.create(who, integration, object_ref(register, schema, object_id), values, key=key)
    return jsonify(row_json(leaf, row)), 201


def _item(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Response:
    who, leaf = json_visitor(), panel().registry.get(integration)
    row = panel().links.item(who, integration, object_ref(register, schema, object_id), entity_id)
    return jsonify(item_json(leaf, row))


def _update(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Response:
    who, leaf = json_visitor(), panel().registry.get(integration)
    obj = object_ref(register, schema, object_id)
    body = payload()
    if leaf.can_move and "reference" in body:
        return _follow(who, leaf, obj, entity_id, body)
    changes = field_texts(body)
    return jsonify(row_json(leaf, panel().links.update(who, integration, obj, entity_id, changes)))


def _follow(who: Visitor, leaf: Integration, obj: ObjectRef, entity_id: str, body: dict[str, Any]) -> Response:
    """Point the link of a moved item to its new place."""
    if any(field.name in body for field in leaf.descriptor.update):
        raise InvalidInput("reference", _("“reference” points the link elsewhere: give it without fields to change."))
    text = reference_in(leaf, body)
    return jsonify(row_json(leaf, panel().moves.follow(who, leaf.id, obj, entity_id, text)))


def _unlink(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> tuple[str, int]:
    panel().links.unlink(json_visitor(), integration, object_ref(register, schema, object_id), entity_id)
    return "", 204


def _older(integration: str) -> str:
    """The integration of an older path. Raises NotFound: these paths match any word in its place."""
    if panel().registry.find(integration) is None:
        raise NotFound(_("There is nothing at this address."))
    return integration


@bp.route(f"{OBJECT}/integrations/<integration>", methods=["GET", "POST"])
def collection(register: str, schema: str, object_id: str, integration: str) -> Any:
    act = _list if request.method in ("GET", "HEAD") else _link
    return act(register, schema, object_id, integration)


@bp.post(f"{OBJECT}/integrations/<integration>/new")
def create(register: str, schema: str, object_id: str, integration: str) -> Any:
    return _create(register, schema, object_id, integration)


@bp.route(f"{OBJECT}/integrations/<integration>/<id:entity_id>", methods=["GET", "PATCH", "DELETE"])
def entity(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Any:
    act = {"PATCH": _update, "DELETE": _unlink}.get(request.method, _item)
    return act(register, schema, object_id, integration, entity_id)


@bp.route(f"{OBJECT}/<integration>", methods=["GET", "POST"])
def older_collection(register: str, schema: str, object_id: str, integration: str) -> Any:
    return collection(register, schema, object_id, _older(integration))


@bp.post(f"{OBJECT}/<integration>/new")
def older_create(register: str, schema: str, object_id: str, integration: str) -> Any:
    return _create(register, schema, object_id, _older(integration))


@bp.route(f"{OBJECT}/<integration>/<id:entity_id>", methods=["GET", "PATCH", "DELETE"])
def older_entity(register: str, schema: str, object_id: str, integration: str, entity_id: str) -> Any:
    return entity(register, schema, object_id, _older(integration), entity_id)


# --- integrations ----------------------------------------------------------------------------------------------------


def describe(leaf: Integration, *, for_admin: bool) -> dict[str, Any]:
    """The discovery row. Fields for administrators are omitted for others, not null."""
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
        row |= {"requiresPermission": None, "openConnectorSource": leaf.id, "authStatus": known_health(leaf)}
    return row


@bp.get("/integrations")
def integrations() -> Response:
    who = admitted()
    rows = [describe(leaf, for_admin=who.is_admin) for leaf in leaves_for(who)]
    group, enabled = request.args.get("group"), request.args.get("enabled")
    rows = [row for row in rows if group in (None, "", row["group"])]
    if enabled in ("true", "false"):
        rows = [row for row in rows if row["enabled"] == (enabled == "true")]
    return jsonify({"integrations": rows, "items": rows, "results": rows, "total": len(rows)})


@bp.get("/integrations/<integration>")
def integration_card(integration: str) -> Response:
    return jsonify(describe(panel().registry.get(integration), for_admin=admitted().is_admin))


@bp.get("/integrations/<integration>/available")
def available(integration: str) -> Response:
    who, leaf, obj = json_visitor(), panel().registry.get(integration), _named_object()
    text = search_text("search", request.args.get("search") or request.args.get("q") or "", PICKER_LENGTH)
    limit = positive("limit", request.args.get("limit"), PICKER_LIMIT)
    return jsonify(found_json(leaf, panel().links.available(who, integration, text, limit=limit, obj=obj)))


@bp.get("/integrations/<integration>/choices")
def choices(integration: str) -> Response:
    """The upstream's choices for a field; the other parameters are the values of the form."""
    who, leaf, obj = json_visitor(), panel().registry.get(integration), _named_object()
    return jsonify(choices_json(find_choices(who, leaf, request.args, obj=obj, entity_id=request.args.get("entityId"))))


def _named_object() -> ObjectRef | None:
    """The object of the query; None when no part of it is given. Raises InvalidInput when only some parts are."""
    named = [request.args.get(name, "") for name in ("register", "schema", "objectId")]
    return object_ref(*named) if any(named) else None


@bp.get("/integrations/<integration>/health")
def health(integration: str) -> Response:
    return jsonify(health_json(panel().links.health(json_visitor(), integration)))


# --- sources ---------------------------------------------------------------------------------------------------------


def _saved(saved: Saved) -> Response:
    body = _source(saved.source.slug)
    return jsonify({**body, "warnings": list(saved.warnings)} if saved.warnings else body)


def _source(slug: str) -> dict[str, Any]:
    sources = panel().sources
    source = sources.get(slug)
    row = {**sources.values(source), "revision": source.revision, "updatedAt": moment(source.updated_at)}
    if problem := sources.problem(source):
        # Others are still listed, and this one can be mended.
        return {**row, "resolved": "", "problem": problem}
    return {**row, "resolved": sources.addresses(slug, source.location, source.options)[1]}


@bp.get("/sources")
def sources() -> Response:
    rows = [_source(source.slug) for source in panel().sources.all()]
    return jsonify({"items": rows, "results": rows, "total": len(rows)})


@bp.post("/sources")
def create_source() -> tuple[Response, int]:
    return _saved(panel().sources.create(payload(), by=acting("JSON"))), 201


@bp.route("/sources/<slug>", methods=["GET", "PATCH", "DELETE"])
def source(slug: str) -> Any:
    if request.method == "PATCH":
        return _saved(panel().sources.change(slug, payload(), by=acting("JSON")))
    if request.method == "DELETE":
        panel().sources.delete(slug, by=acting("JSON"))
        return "", 204
    return jsonify(_source(slug))


@bp.post("/sources/<slug>/test")
def test_source(slug: str) -> Response:
    who = admitted()
    values = payload() or None
    if values is None:
        panel().sources.get(slug)
    return jsonify(test_json(panel().connection_tests.run(slug, values, caller=visitor(who, "test").caller)))


def test_json(test: ConnectionTest) -> dict[str, Any]:
    steps = [_step_json(step) for step in test.steps]
    problem = test.problem
    return {
        "ok": test.ok,
        "rungs": steps,
        "cause": problem.cause.value if problem else None,
        "reason": problem.reason.value if problem else None,
    }


def _step_json(step: Step) -> dict[str, Any]:
    body = {"rung": step.name, "ok": step.ok, "message": step.message}
    return {**body, "warning": True} if step.warns else body


# --- description -----------------------------------------------------------------------------------------------------


@bp.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document of this face, with the address and leaves of this panel. Public."""
    config, integrations = panel().config, panel().registry.ids()
    return jsonify(openapi_document(url=config.public_url, version=VERSION, integrations=integrations))
