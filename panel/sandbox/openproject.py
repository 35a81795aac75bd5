"""Stand-in of OpenProject: the part of API v3 that clients of work packages use, quirks included, in memory."""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from panel.sandbox import openproject_lists as lists
from panel.sandbox import openproject_packages as packages
from panel.sandbox import openproject_projects as projects
from panel.sandbox import openproject_resources as resources
from panel.sandbox.openproject_auth import Authentication
from panel.sandbox.openproject_call import ApiCall, Instance, Reply, Route
from panel.sandbox.openproject_errors import LANGUAGES, ApiError, not_found, unauthorized
from panel.sandbox.openproject_json import Hal
from panel.sandbox.openproject_oauth import OAuthServer
from panel.sandbox.openproject_pages import page_for
from panel.sandbox.openproject_profiles import Profile
from panel.sandbox.openproject_query import unpacked
from panel.sandbox.openproject_responses import HAL_JSON, Middleware, json_response
from panel.sandbox.openproject_seeds import Seed
from panel.sandbox.openproject_state import ANONYMOUS, Principal, Project, WorkPackage
from panel.sandbox.standin import StandIn

JSON_TYPES = ("application/json", "application/hal+json")
HIDDEN_PROJECT = 990
OWN_REFUSALS = {"unauthorized": ApiError(401, "Unauthenticated", "wrong-credentials"), "forbidden": unauthorized()}
OAUTH_CLIENT, OAUTH_SECRET = "leafpanel-demo", "leafpanel-demo-secret"
OAUTH_CLIENT_WITHOUT_USER = "leafpanel-nobody"
"""An OAuth application without a client credentials user: its tokens are the anonymous user's. Same secret."""

ROUTES: tuple[Route, ...] = (*resources.ROUTES, *projects.ROUTES, *lists.ROUTES, *packages.ROUTES)
"""The first match handles a request."""


class OpenProjectStandIn(StandIn, Instance):
    """Serves ``/api/v3`` and a few browser pages below its mount point.

    ``profile`` is "17", "16", "15" or "12"; ``seed`` is "fixture", "demo" or a function that fills a World. ``world``
    is the state; the attributes of ``Instance``, with ``load`` and ``oauth``, are switches.
    """

    product = "OpenProject"

    def __init__(self, profile: str | Profile = "17", seed: str | Seed = "fixture") -> None:
        StandIn.__init__(self)
        Instance.__init__(self, profile, seed)
        self.oauth = OAuthServer(self.world)
        self.oauth.add_app(OAUTH_CLIENT, OAUTH_SECRET, credentials_user=self._browser_user().id)
        self.oauth.add_app(OAUTH_CLIENT_WITHOUT_USER, OAUTH_SECRET)

    # --- changes -------------------------------------------------------------------------------------------

    def add_work_package(self, subject: str, project_id: int, **values: Any) -> WorkPackage:
        """Store a work package. Keywords set its fields (``id``, ``status_id``, ``assignee_id``, ``due_date`` …)."""
        with self.world.lock:
            return self.world.add_work_package(subject, project_id, **values)

    def add_many(self, count: int, project_id: int, subject: str = "Work package {n}", **values: Any) -> list[int]:
        """Store ``count`` work packages and return their ids; ``{n}`` in the subject becomes a number from 1."""
        with self.world.lock:
            texts = (subject.format(n=number) for number in range(1, count + 1))
            return [self.world.add_work_package(text, project_id, **values).id for text in texts]

    def add_projects(self, count: int, name: str = "Dossier {n}") -> None:
        """Add projects in which the first account with an API key is a member; ``{n}`` becomes a number from 1."""
        with self.world.lock:
            self.world.add_projects(count, self._browser_user().id, name)

    def remove_work_package(self, work_package_id: int) -> None:
        with self.world.lock:
            del self.world.work_packages[work_package_id]

    def hide(self, work_package_id: int) -> None:
        """Move a work package to a project without members."""
        with self.world.lock:
            types = tuple(self.world.types)
            self.world.add(Project(HIDDEN_PROJECT, "hidden", "Hidden", types, key="HID"))
            self.world.touch(work_package_id, project_id=HIDDEN_PROJECT)

    def touch(self, work_package_id: int, **changes: Any) -> WorkPackage:
        """Change a work package as another user would; its lock version increases."""
        with self.world.lock:
            return self.world.touch(work_package_id, **changes)

    # --- one request ---------------------------------------------------------------------------------------

    def failing(self, fault: str, request: Request) -> Response:
        """The response of a fault. Refusals of the API are error objects."""
        error = OWN_REFUSALS.get(fault) if request.path.startswith("/api/") else None
        return super().failing(fault, request) if error is None else json_response(error.body("en"), error.status)

    def answer(self, request: Request) -> Response:
        if not self.answers_to(request.headers.get("Host", "")):
            return Response("Invalid host_name configuration", 400, content_type="text/plain")
        if re.fullmatch("/api/v3(/.*)?", request.path):
            return self._api(request)
        if request.path.startswith("/oauth/"):
            return self.oauth.answer(request, self._browser_user())
        return page_for(request, self.world, self._browser_user())

    def _browser_user(self) -> Principal:
        """Return the user that browser pages are rendered for: the first account with an API key."""
        return next((person for person in self.world.principals.values() if person.tokens), ANONYMOUS)

    def _api(self, request: Request) -> Response:
        """Answer an API request. Its time passes outside the lock, so that a slow request delays no other one."""
        route = f"{request.method} {_path(request)}"
        throttled = self.load.throttle(route, request.headers.get("Authorization", ""))
        if throttled is not None:
            return throttled
        self.load.wait(route)
        with self.world.lock:
            response, reply = self._answered(request, route)
        self.load.wait_for_rows(reply.projects, reply.work_packages, reply.selected)
        response.headers["Date"] = http_date(self.world.clock())
        return response

    def _answered(self, request: Request, route: str) -> tuple[Response, Reply]:
        """Check body, authentication, content type and route, in the same order as the real server."""
        language = request.accept_languages.best_match(LANGUAGES) or "en"
        middleware = Middleware(self.profile.service_desc_link)
        try:
            refusal = self._unsupported_type(request)
            if refusal is not None:
                return refusal, Reply(None)
            body = _json_body(request)
            user = self._user_of(request)
            language = user.language or language
            self._check_content_type(request)
            reply = self._dispatch(self._call(request, body, user, language), route)
        except MissingContentType:
            return Response("Missing content-type header", 406, content_type="text/plain"), Reply(None)
        except ApiError as error:
            return middleware.error(error, language, request), Reply(None)
        if isinstance(reply, Response):
            return reply, Reply(None)
        return middleware.document(reply.document, reply.status, request), reply

    def _user_of(self, request: Request) -> Principal:
        """Return the user of a request. The configuration is public without credentials."""
        if _path(request) == "/configuration" and "Authorization" not in request.headers:
            return ANONYMOUS
        return Authentication(self, self.oauth).user_of(request)

    def _call(self, request: Request, body: dict[str, Any] | None, user: Principal, language: str) -> ApiCall:
        params = unpacked({key: values[-1] for key, values in request.args.lists()})
        prefix = request.root_path.rstrip("/")
        hal = Hal(self.world, user, self.profile, prefix, language, self.semantic_display_ids, self.offers)
        return ApiCall(request, params, body, hal, self)

    def _dispatch(self, call: ApiCall, route: str) -> Reply | Response:
        if self.load.forbids(route):
            raise unauthorized()
        path = _path(call.request)
        method = "GET" if call.request.method == "HEAD" else call.request.method
        for verb, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path) if verb == method else None
            if match and (self.profile.workspaces or not path.startswith("/workspaces")):
                return handler(call, *match.groups())
        raise not_found()

    # --- content type --------------------------------------------------------------------------------------

    def _unsupported_type(self, request: Request) -> Response | None:
        """Return the plain text 415 that newer servers send before they authenticate a request with a body."""
        kind = request.headers.get("Content-Type", "").strip()
        if not self.profile.plain_unsupported_type or request.method in self._methods_without_type():
            return None
        if not kind or kind.startswith(JSON_TYPES) or not request.get_data():
            return None
        text = f"The provided content-type '{kind}' is not supported."
        return Response(text, 415, {"Cache-Control": "no-cache"}, content_type=HAL_JSON)

    def _check_content_type(self, request: Request) -> None:
        """Raise MissingContentType, or ApiError 415 for a wrong one."""
        kind = request.headers.get("Content-Type", "").strip()
        if request.method in self._methods_without_type() or kind.startswith(JSON_TYPES):
            return
        if not kind:
            raise MissingContentType
        raise ApiError(415, "TypeNotSupported", "content-type", texts={"actual": kind})

    def _methods_without_type(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.profile.delete_needs_content_type else ("GET", "HEAD", "DELETE")


class MissingContentType(Exception):
    """A request that needs a content type has none."""


def _path(request: Request) -> str:
    """Return the path below ``/api/v3``."""
    return request.path.removeprefix("/api/v3").rstrip("/")


def _json_body(request: Request) -> dict[str, Any] | None:
    """Return the object in the body, or ``None``. The server parses it before authentication. Raises ApiError 400."""
    content_type = request.headers.get("Content-Type", "").strip()
    if request.method in ("GET", "HEAD") or not content_type.startswith(JSON_TYPES):
        return None
    raw = request.get_data()
    if not raw:
        return None
    try:
        value = json.loads(raw)
    except ValueError as exc:
        details = {"parseError": str(exc)}
        raise ApiError(400, "InvalidRequestBody", "parse", details=details) from exc
    if not isinstance(value, dict):
        raise ApiError(400, "InvalidRequestBody", "parse", details={"parseError": "an object was expected"})
    return value
