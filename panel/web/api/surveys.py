"""JSON about objects as a whole: all of their integrations, many objects at once, and the objects of an item."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from panel.core.domain import LinkedObject, ObjectRef
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text_limits import REFERENCE_LENGTH, refuse_longer
from panel.links.backlinks import Page
from panel.links.reading import MAX_LIMIT, MOST_OBJECTS
from panel.links.surveys import LeafSurvey, ObjectSurvey
from panel.web.api.conditional import etag_of, json_text, tagged
from panel.web.api.views import OBJECT, bp, json_visitor, payload
from panel.web.context import panel
from panel.web.parsing import object_ref, positive
from panel.web.serialize import moment

MOST_DIGESTED = 100
"""How many objects one digest may name."""


@bp.get(f"{OBJECT}/integrations")
def object_integrations(register: str, schema: str, object_id: str) -> Response:
    found = panel().surveys.survey(json_visitor(), object_ref(register, schema, object_id))
    text = json_text(_survey_json(found)).encode()
    return tagged(text + b"\n", etag_of(text))


@bp.post("/digest")
def digest() -> Response:
    """The same for many objects. What is no object is named in ``refused`` and does not affect the others."""
    objects, refused = _named_objects(payload())
    found = panel().surveys.survey_all(json_visitor(), objects)
    return jsonify(
        {"objects": [{**_object_json(one.object), **_survey_json(one)} for one in found], "refused": refused}
    )


def _named_objects(body: dict[str, Any]) -> tuple[list[ObjectRef], list[dict[str, Any]]]:
    """The objects of a request, each once, and what is no object. Raises InvalidInput."""
    named = body.get("objects")
    if not isinstance(named, list):
        raise InvalidInput("objects", _("“{name}” must be a list of objects.", name="objects"))
    if len(named) > MOST_DIGESTED:
        raise InvalidInput(
            "objects", _("“{name}” may have at most {most} entries.", name="objects", most=MOST_DIGESTED)
        )
    objects, refused = [], []
    for index, one in enumerate(named):
        try:
            objects.append(_named_object(one))
        except InvalidInput as exc:
            refused.append({"index": index, "field": exc.field, "message": exc.message})
    return list(dict.fromkeys(objects)), refused


def _named_object(named: object) -> ObjectRef:
    """Raises InvalidInput."""
    if not isinstance(named, dict):
        raise InvalidInput("objects", _("Each object has register, schema and objectId."))
    parts = [named.get(name) for name in ("register", "schema", "objectId")]
    return object_ref(*(str(part) if isinstance(part, str | int) else "" for part in parts))


@bp.get("/links")
def links() -> Response:
    integration, text = request.args.get("integration", ""), request.args.get("reference", "")
    for name, value in (("integration", integration), ("reference", text)):
        if not value.strip():
            raise InvalidInput(name, _("“{name}” is missing.", name=name))
    refuse_longer("reference", text.strip(), REFERENCE_LENGTH)
    limit = min(positive("_limit", request.args.get("_limit"), MOST_OBJECTS), MAX_LIMIT)
    page = positive("_page", request.args.get("_page"), 1)
    found = panel().backlinks.find(json_visitor(), integration, text, Page(page, limit))
    rows = [_linked_object_json(one) for one in found.items]
    return jsonify({"items": rows, "results": rows, "total": found.total, "page": page, "limit": limit})


def _object_json(obj: ObjectRef) -> dict[str, Any]:
    return {"register": obj.register, "schema": obj.schema, "objectId": obj.object_id}


def _linked_object_json(one: LinkedObject) -> dict[str, Any]:
    pointer = one.pointer
    linked = {"linkedBy": pointer.linked_by, "linkedAt": moment(pointer.linked_at)}
    return {**_object_json(one.object), "reference": pointer.reference, **linked}


def _survey_json(found: ObjectSurvey) -> dict[str, Any]:
    """The leaves of an object, with the sum of their links, and the worst state with its cause."""
    whole = {"total": found.total, "changed": moment(found.changed)}
    worst = _state_json(found.worst) if found.worst is not None else {"state": "ok"}
    return {"integrations": [_leaf_json(one) for one in found.leaves], **whole, **worst}


def _leaf_json(one: LeafSurvey) -> dict[str, Any]:
    links = {"total": one.links.total, "changed": moment(one.links.newest)}
    return {"id": one.leaf.id, "label": one.leaf.descriptor.label, **links, **_state_json(one)}


def _state_json(one: LeafSurvey) -> dict[str, Any]:
    if one.reason is None:
        return {"state": one.state.value}
    return {"state": one.state.value, "cause": one.reason.cause.value, "reason": one.reason.value}
