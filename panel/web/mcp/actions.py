"""The actions of the MCP tool. Results and errors are the same bodies as those of the JSON API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from panel.core.domain import ObjectRef
from panel.core.errors import Forbidden, InvalidInput, NotFound, PanelError
from panel.core.messages import _
from panel.core.text import refuse_surrogates
from panel.core.text_limits import REFERENCE_LENGTH, refuse_longer
from panel.integrations.contract import Integration
from panel.links.reading import DEFAULT_LIMIT
from panel.links.visitor import Visitor
from panel.storage.engine import STORAGE_FAILURES
from panel.web.auth.rules import TOOL
from panel.web.choices import choices_json, find_choices
from panel.web.context import leaves_for, panel, request_id
from panel.web.error_bodies import bug_words, error_body, plain_body
from panel.web.failure_log import log_storage_failure
from panel.web.log_lines import note_refused_call
from panel.web.mcp.tool import ACTIONS, is_tool_name, payload_schemas, unescaped
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
from panel.web.serialize import found_json, health_json, item_json, known_health, leaf_row_json, list_json, row_json
from panel.web.storage_words import storage_words

log = logging.getLogger(__name__)

ARGUMENTS = (
    "action", "integrationId", "register", "schema", "objectId", "entityId", "filters", "payload", "dryRun",
    "idempotencyKey",
)  # fmt: skip

_LOGGED = 100
"""How many characters of an argument a log line has."""

Body = dict[str, Any]


def answer(who: Visitor, tool: str, arguments: Mapping[str, Any]) -> tuple[Body, bool]:
    """The JSON body for a tool call, and whether it is an error. Does not raise."""
    try:
        return _act(who, tool, arguments), False
    except PanelError as exc:
        if isinstance(exc, Forbidden):
            note_refused_call(who.principal, _named(arguments))
        return error_body(exc, public_url=panel().config.public_url), True
    except STORAGE_FAILURES as exc:
        log_storage_failure(exc)
        return plain_body(storage_words(exc), 503), True
    except Exception:
        # With some protocol versions, the SDK would send the text of an exception to the client.
        log.exception("%s unexpected failure", request_id())
        return plain_body(bug_words(request_id()), 500), True


def _named(arguments: Mapping[str, Any]) -> str:
    """A call in a log line: the action, and the integration and object that it is for."""
    texts = (arguments.get(name) for name in ("action", "integrationId", "register", "schema", "objectId"))
    return "MCP " + "/".join(quote(text[:_LOGGED], safe="") for text in texts if isinstance(text, str))


def _act(who: Visitor, tool: str, arguments: Mapping[str, Any]) -> Body:
    if not is_tool_name(tool, panel().config.mcp_tool_name):
        raise NotFound(_("There is no tool of this name. It is called {tool}.", tool=panel().config.mcp_tool_name))
    call = ToolCall(who, arguments)
    action = call.text("action")
    if action not in _ACTIONS:
        raise InvalidInput("action", _("“{name}” must be one of {known}.", name="action", known=", ".join(ACTIONS)))
    call.who.principal.require(TOOL[action])
    return _ACTIONS[action](call)


class ToolCall:
    """One tool call: the visitor, and the arguments, each of which is validated when it is read."""

    def __init__(self, who: Visitor, arguments: Mapping[str, Any]) -> None:
        self.who = who
        refuse_surrogates(arguments, field="arguments")
        self._arguments = {name: value for name, value in arguments.items() if value is not None}
        for name in self._arguments:
            if name not in ARGUMENTS:
                raise InvalidInput(
                    name[:100], _("There is no argument of this name. There are {known}.", known=", ".join(ARGUMENTS))
                )

    def text(self, name: str) -> str:
        value = self._arguments.get(name)
        if value is None or value == "":
            raise InvalidInput(name, _("“{name}” is missing.", name=name))
        return _text(name, value)

    def optional(self, name: str) -> str:
        return _text(name, self._arguments.get(name, ""))

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._arguments.get(name, {})
        if not isinstance(value, dict):
            raise InvalidInput(name, _("“{name}” must be an object.", name=name))
        return value

    @property
    def leaf(self) -> Integration:
        return panel().registry.get(self.text("integrationId"))

    @property
    def object(self) -> ObjectRef:
        return object_ref(self.text("register"), self.text("schema"), self.text("objectId"))

    @property
    def named_object(self) -> ObjectRef | None:
        """The object, or None when no part of it is given. Raises InvalidInput when only some parts are."""
        named = [self.optional(name) for name in ("register", "schema", "objectId")]
        return object_ref(*named) if any(named) else None

    @property
    def entity(self) -> str:
        return _unescaped("entityId", self.text("entityId"))

    def reference(self, leaf: Integration) -> str:
        return _unescaped("reference", reference_in(leaf, self.payload))

    @property
    def payload(self) -> dict[str, Any]:
        if "payload" not in self._arguments:
            raise InvalidInput("payload", _("“{name}” is missing.", name="payload"))
        return self.mapping("payload")

    @property
    def is_dry_run(self) -> bool:
        value = self._arguments.get("dryRun", False)
        if not isinstance(value, bool):
            raise InvalidInput("dryRun", _("“{name}” must be true or false.", name="dryRun"))
        return value


def _unescaped(name: str, text: str) -> str:
    """A reference as the upstream spells it. Raises InvalidInput."""
    reference = unescaped(text)
    refuse_longer(name, reference, REFERENCE_LENGTH)
    refuse_surrogates(reference, field=name)
    return reference


def _text(name: str, value: Any) -> str:
    """The value as a string. Integers are accepted, because agents send ids as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidInput(name, _("“{name}” must be text.", name=name))
    return value


def _number(values: Mapping[str, Any], names: tuple[str, ...], default: int) -> int:
    name = next((name for name in names if values.get(name) is not None), names[0])
    value = values.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return positive(name, None if value is None else _text(name, value), default)


def _words(values: Mapping[str, Any], names: tuple[str, ...], length: int) -> str:
    name = next((name for name in names if values.get(name) is not None), names[0])
    value = values.get(name)
    return "" if value is None else search_text(name, _text(name, value), length)


# --- reading ---------------------------------------------------------------------------------------------------------


def _list_integrations(call: ToolCall) -> Body:
    leaves = leaves_for(call.who.principal)
    return {"registered": [leaf.id for leaf in leaves], "integrations": [_card(call, leaf) for leaf in leaves]}


def _card(call: ToolCall, leaf: Integration) -> Body:
    card = leaf.descriptor
    return {
        "id": card.id,
        "label": card.label,
        "group": card.group,
        "enabled": panel().switches.connector_on(),
        "requiredApp": card.required_app,
        "storageStrategy": card.storage_strategy,
        "authStatus": known_health(leaf)["authStatus"],
        "actions": [name for name in ACTIONS[1:] if _may(call, leaf, name)],
        "payload": payload_schemas(leaf),
    }


def _may(call: ToolCall, leaf: Integration, action: str) -> bool:
    if action == "update" and not leaf.descriptor.update:
        return False
    if action == "follow" and not leaf.can_move:
        return False
    return call.who.principal.may(TOOL[action])


def _list(call: ToolCall) -> Body:
    leaf, filters = call.leaf, call.mapping("filters")
    limit, page = _number(filters, ("_limit", "limit"), DEFAULT_LIMIT), _number(filters, ("_page", "page"), 1)
    search = _words(filters, ("_search", "search"), SEARCH_LENGTH)
    listing = panel().links.listing(call.who, leaf.id, call.object, limit=limit, page=page, search=search)
    return list_json(leaf, listing)


def _get(call: ToolCall) -> Body:
    leaf = call.leaf
    return item_json(leaf, panel().links.item(call.who, leaf.id, call.object, call.entity))


def _search(call: ToolCall) -> Body:
    leaf, values = call.leaf, {**call.mapping("payload"), **call.mapping("filters")}
    text = _words(values, ("search", "_search", "q"), PICKER_LENGTH)
    limit = _number(values, ("limit", "_limit"), PICKER_LIMIT)
    found = panel().links.available(call.who, leaf.id, text, limit=limit, obj=call.named_object)
    return found_json(leaf, found)


def _choices(call: ToolCall) -> Body:
    given = {**call.mapping("payload"), **call.mapping("filters")}
    entity = call.entity if call.optional("entityId") else None
    return choices_json(find_choices(call.who, call.leaf, given, obj=call.named_object, entity_id=entity))


def _health(call: ToolCall) -> Body:
    return health_json(panel().links.health(call.who, call.leaf.id))


# --- writing ---------------------------------------------------------------------------------------------------------


def _link(call: ToolCall) -> Body:
    leaf = call.leaf
    obj, text = call.object, call.reference(leaf)
    if call.is_dry_run:
        item = panel().dry_run.link(call.who, leaf.id, obj, text)
        return {"dryRun": True, "action": "link", "wouldLink": leaf_row_json(leaf, item)}
    return row_json(leaf, panel().links.link(call.who, leaf.id, obj, text))


def _create(call: ToolCall) -> Body:
    leaf = call.leaf
    obj, values = call.object, create_values(leaf, call.payload)
    key = idempotency_key("idempotencyKey", call.optional("idempotencyKey"))
    if call.is_dry_run:
        panel().dry_run.create(call.who, leaf.id, obj, values)
        return {"dryRun": True, "action": "create", "wouldCreate": values}
    return row_json(leaf, panel().links.create(call.who, leaf.id, obj, values, key=key))


def _update(call: ToolCall) -> Body:
    leaf = call.leaf
    obj, entity, changes = call.object, call.entity, field_texts(call.payload)
    if call.is_dry_run:
        row = panel().dry_run.update(call.who, leaf.id, obj, entity, changes)
        return {"dryRun": True, "action": "update", "current": row_json(leaf, row), "wouldChange": changes}
    return row_json(leaf, panel().links.update(call.who, leaf.id, obj, entity, changes))


def _unlink(call: ToolCall) -> Body:
    leaf = call.leaf
    obj, entity = call.object, call.entity
    if call.is_dry_run:
        pointer = panel().dry_run.unlink(call.who, leaf.id, obj, entity)
        gone = {"reference": pointer.reference, "url": pointer.url}
        return {"dryRun": True, "action": "unlink", "wouldUnlink": gone}
    panel().links.unlink(call.who, leaf.id, obj, entity)
    return {"unlinked": True, "reference": entity}


def _follow(call: ToolCall) -> Body:
    leaf = call.leaf
    obj, entity, text = call.object, call.entity, call.reference(leaf)
    if call.is_dry_run:
        item = panel().moves.rehearse(call.who, leaf.id, obj, entity, text)
        return {"dryRun": True, "action": "follow", "wouldLink": leaf_row_json(leaf, item)}
    return row_json(leaf, panel().moves.follow(call.who, leaf.id, obj, entity, text))


_ACTIONS: dict[str, Callable[[ToolCall], Body]] = {
    "list-integrations": _list_integrations,
    "list": _list,
    "get": _get,
    "link": _link,
    "create": _create,
    "search": _search,
    "choices": _choices,
    "unlink": _unlink,
    "follow": _follow,
    "update": _update,
    "health": _health,
}
