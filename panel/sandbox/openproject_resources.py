"""Small resources of the OpenProject stand-in: root, configuration, users, statuses, types and priorities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panel.sandbox.openproject_call import ApiCall, Reply, Route
from panel.sandbox.openproject_errors import not_found
from panel.sandbox.openproject_state import Right


def root(call: ApiCall) -> Reply:
    return Reply(call.hal.root())


def specification(call: ApiCall) -> Reply:
    if not call.instance.profile.service_desc_link:
        raise not_found()
    info = {"title": "OpenProject API V3 (Stable)", "version": "3"}
    return Reply({"openapi": "3.1.0", "info": info, "paths": {}})


def configuration(call: ApiCall) -> Reply:
    """The configuration. It needs no credentials, whether a login is required or not."""
    instance = call.instance
    document: dict[str, Any] = {"_type": "Configuration", "perPageOptions": [instance.default_page_size, 100]}
    if instance.host_name is not None:
        document["hostName"] = instance.host_name
    if instance.profile.names_page_limit:
        document["maximumAPIV3PageSize"] = instance.max_page_size
    return Reply({**document, "_links": {"self": call.hal.link("/configuration")}})


def me(call: ApiCall) -> Reply:
    """The user of the request. On an instance that is open to everybody this is also the anonymous user."""
    return Reply(call.hal.principal(call.hal.user))


def principal(call: ApiCall, kind: str, number: str) -> Reply:
    person = call.world.principals.get(int(number))
    if person is None or person.kind != kind:
        raise not_found()
    return Reply(call.hal.principal(person))


def statuses(call: ApiCall) -> Reply:
    call.require_anywhere(Right.VIEW)
    ordered = sorted(call.world.statuses.values(), key=lambda one: one.position)
    return Reply(call.hal.collection("/statuses", [call.hal.status(one) for one in ordered]))


def status(call: ApiCall, number: str) -> Reply:
    call.require_anywhere(Right.VIEW)
    return Reply(call.hal.status(_find(call.world.statuses, number)))


def types(call: ApiCall) -> Reply:
    call.require_anywhere(Right.VIEW)
    ordered = sorted(call.world.types.values(), key=lambda one: one.position)
    return Reply(call.hal.collection("/types", [call.hal.type(one) for one in ordered]))


def type_(call: ApiCall, number: str) -> Reply:
    call.require_anywhere(Right.VIEW)
    return Reply(call.hal.type(_find(call.world.types, number)))


def priorities(call: ApiCall) -> Reply:
    call.require_anywhere(Right.VIEW)
    ordered = sorted(call.world.priorities.values(), key=lambda one: one.position)
    return Reply(call.hal.collection("/priorities", [call.hal.priority(one) for one in ordered]))


def priority(call: ApiCall, number: str) -> Reply:
    call.require_anywhere(Right.VIEW)
    return Reply(call.hal.priority(_find(call.world.priorities, number)))


def _find(resources: Mapping[int, Any], number: str) -> Any:
    if int(number) not in resources:
        raise not_found()
    return resources[int(number)]


ROUTES: tuple[Route, ...] = (
    ("GET", "", root),
    ("GET", "/(?:openapi|spec)[.]json", specification),
    ("GET", "/configuration", configuration),
    ("GET", "/users/me", me),
    ("GET", "/(users|groups|placeholder_users)/([0-9]+)", principal),
    ("GET", "/statuses", statuses),
    ("GET", "/statuses/([0-9]+)", status),
    ("GET", "/types", types),
    ("GET", "/types/([0-9]+)", type_),
    ("GET", "/priorities", priorities),
    ("GET", "/priorities/([0-9]+)", priority),
)
