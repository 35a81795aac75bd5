"""Stand-in of OpenProject: the part of API v3 that clients of work packages use, quirks included, in memory."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox import openproject_write as write
from panel.sandbox.openproject_errors import (
    LANGUAGES,
    ApiError,
    no_work_package,
    not_found,
    one_or_many,
    unauthorized,
)
from panel.sandbox.openproject_json import Document, Hal, Offers
from panel.sandbox.openproject_oauth import OAuthServer, Token
from panel.sandbox.openproject_pages import find, page_for
from panel.sandbox.openproject_query import Page, Scope, Select, found, page_of, parse_filters, unpacked
from panel.sandbox.openproject_seeds import SEEDS, Seed
from panel.sandbox.openproject_state import (
    ANONYMOUS,
    PROFILES,
    Principal,
    Profile,
    Project,
    Right,
    WorkPackage,
    World,
)
from panel.sandbox.standin import StandIn

HAL_JSON = "application/hal+json; charset=utf-8"
JSON_TYPES = ("application/json", "application/hal+json")
REALM = 'realm="OpenProject API"'
HIDDEN_PROJECT = 990
OWN_REFUSALS = {"unauthorized": ApiError(401, "Unauthenticated", "wrong-credentials"), "forbidden": unauthorized()}
OAUTH_CLIENT, OAUTH_SECRET = "leafpanel-demo", "leafpanel-demo-secret"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """An API request that has passed authentication and the content type check."""

    request: Request
    params: dict[str, str]
    body: dict[str, Any] | None
    """``None`` for a request without a body."""
    user: Principal
    hal: Hal


@dataclass(frozen=True, slots=True)
class Reply:
    document: Document | None
    status: int = 200


Handler = Callable[..., Reply | Response]


class OpenProjectStandIn(StandIn):
    """Serves ``/api/v3`` and a few browser pages below its mount point.

    ``profile`` is "17" or "12"; ``seed`` is "fixture", "demo" or a function that fills a World. ``world`` is the state;
    the other attributes are switches that can be changed while it runs.
    """

    product = "OpenProject"

    def __init__(self, profile: str | Profile = "17", seed: str | Seed = "fixture") -> None:
        super().__init__()
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.world = World()
        (SEEDS[seed] if isinstance(seed, str) else seed)(self.world)
        self.oauth = OAuthServer(self.world)
        self.oauth.add_app(OAUTH_CLIENT, OAUTH_SECRET, credentials_user=self._browser_user().id)
        self.login_required = True
        self.default_page_size = 20
        self.max_page_size = 1000
        self.host_name: str | None = "projecten.lindewaard.example"
        """``hostName`` in the configuration, which can differ from the requested host; ``None`` omits the key."""
        self.semantic_display_ids = False
        """Whether ``displayId`` is ``VERG-7`` instead of the number. Paths of profile 17 accept both in any case."""
        self.offers: Offers = "both"
        """Where a form lists allowed values: ``embedded``, ``linked`` or ``both``."""
        self.fail_create_after_commit = False
        """Whether a create stores the work package and then closes the connection without a response."""
        self.cut_create_answer = False
        """Whether a create stores the work package and then sends only half of the response body."""
        self.before_write: Callable[[], object] = lambda: None
        """Called before each update, so that a test can make a concurrent change."""

    # --- switches ------------------------------------------------------------------------------------------

    def add_work_package(self, subject: str, project_id: int, **values: Any) -> WorkPackage:
        """Store a work package. Keywords set its fields (``id``, ``status_id``, ``assignee_id``, ``due_date`` …)."""
        with self.world.lock:
            return self.world.add_work_package(subject, project_id, **values)

    def add_many(self, count: int, project_id: int, subject: str = "Work package {n}", **values: Any) -> list[int]:
        """Store ``count`` work packages and return their ids; ``{n}`` in the subject becomes a number from 1."""
        with self.world.lock:
            texts = (subject.format(n=number) for number in range(1, count + 1))
            return [self.world.add_work_package(text, project_id, **values).id for text in texts]

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
        return super().failing(fault, request) if error is None else _json(error.body("en"), error.status)

    def answer(self, request: Request) -> Response:
        if re.fullmatch("/api/v3(/.*)?", request.path):
            with self.world.lock:
                return self._api(request)
        if request.path.startswith("/oauth/"):
            return self.oauth.answer(request, self._browser_user())
        return page_for(request, self.world, self._browser_user())

    def _browser_user(self) -> Principal:
        """Return the user that browser pages are rendered for: the first account with an API key."""
        return next((person for person in self.world.principals.values() if person.tokens), ANONYMOUS)

    def _api(self, request: Request) -> Response:
        """Check body, authentication, content type and route, in the same order as the real server."""
        language = "en"
        try:
            body = _json_body(request)
            user = self._authenticate(request)
            language = user.language or request.accept_languages.best_match(LANGUAGES) or "en"
            refusal = self._content_type_refusal(request)
            if refusal is not None:
                return refusal
            reply = self._dispatch(self._call(request, body, user, language))
        except ApiError as error:
            response = _json(error.body(language), error.status)
            response.headers.extend(error.headers)
            return self._with_middleware_headers(response, request)
        if isinstance(reply, Response):
            return reply
        response = Response(status=reply.status) if reply.document is None else _json(reply.document, reply.status)
        return self._with_middleware_headers(response, request)

    def _call(self, request: Request, body: dict[str, Any] | None, user: Principal, language: str) -> ApiCall:
        params = unpacked({key: values[-1] for key, values in request.args.lists()})
        prefix = request.root_path.rstrip("/")
        hal = Hal(self.world, user, self.profile, prefix, language, self.semantic_display_ids, self.offers)
        return ApiCall(request, params, body, user, hal)

    def _with_middleware_headers(self, response: Response, request: Request) -> Response:
        """Add what the server's middleware adds: caching headers, a weak ETag with 304, and compression."""
        response.headers["Cache-Control"] = "max-age=0, private, must-revalidate"
        response.headers["Vary"] = "Accept-Encoding"
        if self.profile.service_desc_link:
            spec = f"{request.root_path.rstrip('/')}/api/v3/openapi.json"
            response.headers["Link"] = f'<{spec}>; rel="service-desc"'
        if response.status_code == 200 and request.method in ("GET", "HEAD"):
            response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32], weak=True)
            response.make_conditional(request)
            response.headers.pop("Date", None)  # The HTTP server sets its own.
        if response.status_code not in (204, 304) and request.accept_encodings["gzip"] > 0:
            response.set_data(gzip.compress(response.get_data(), 1))
            response.headers["Content-Encoding"] = "gzip"
        return response

    # --- authentication and content type -------------------------------------------------------------------

    def _authenticate(self, request: Request) -> Principal:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return self._user_of_basic(credentials)
        if scheme.lower() == "bearer":
            return self._user_of_bearer(credentials.strip(), request)
        if self.login_required:
            raise _unauthenticated("unauthenticated", self._challenge(request))
        return ANONYMOUS

    def _user_of_basic(self, credentials: str) -> Principal:
        """Return the owner of an API key. The user name must be ``apikey``.

        Raises ApiError for wrong credentials, also on a public instance.
        """
        try:
            name, _, token = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = token = ""
        user = self._owner(token) if name == "apikey" else None
        if user is None or user.locked:
            raise _unauthenticated("wrong-credentials", f"Basic {REALM}")
        return user

    def _user_of_bearer(self, token: str, request: Request) -> Principal:
        """Return the user of an OAuth token or, on newer servers, of an API key with the prefix ``opapi-``.

        Raises ApiError for any other token.
        """
        oauth_token = self.oauth.token_of(token)
        if oauth_token is not None:
            return self._user_of_token(oauth_token, request)
        accepted = self.profile.bearer_api_tokens and token.startswith("opapi-")
        user = self._owner(token) if accepted else None
        if user is None or user.locked:
            reason = ', error_description="The user account is locked"' if user else ""
            challenge = f'{self._challenge(request, bearer=True)}, error="invalid_token"{reason}'
            raise _unauthenticated("wrong-credentials", challenge)
        return user

    def _user_of_token(self, token: Token, request: Request) -> Principal:
        """Return the user of an OAuth token; without one, the anonymous user.

        Raises ApiError: 403 without the scope ``api_v3``, 401 for the anonymous user if a login is required.
        """
        if "api_v3" not in token.scope.split():
            challenge = f'{self._challenge(request, bearer=True)}, error="insufficient_scope"'
            headers = {"WWW-Authenticate": challenge}
            raise ApiError(403, "Unauthenticated", "wrong-credentials", headers=headers)
        user = self.oauth.user_of(token)
        if user is ANONYMOUS and self.login_required:
            raise _unauthenticated("unauthenticated", self._challenge(request))
        return user

    def _owner(self, token: str) -> Principal | None:
        return next((person for person in self.world.principals.values() if token in person.tokens), None)

    def _challenge(self, request: Request, *, bearer: bool = False) -> str:
        if not self.profile.bearer_challenge:
            return f"{'Bearer' if bearer else 'Basic'} {REALM}"
        metadata = f"{request.host_url}.well-known/oauth-protected-resource"
        return f'Bearer {REALM}, resource_metadata="{metadata}", scope="api_v3"'

    def _content_type_refusal(self, request: Request) -> Response | None:
        """Return a plain-text 406 for a missing content type. Raises ApiError 415 for a wrong one."""
        exempt = ("GET", "HEAD") if self.profile.delete_needs_content_type else ("GET", "HEAD", "DELETE")
        content_type = request.headers.get("Content-Type", "").strip()
        if request.method in exempt or content_type.startswith(JSON_TYPES):
            return None
        if not content_type:
            return Response("Missing content-type header", 406, content_type="text/plain")
        raise ApiError(415, "TypeNotSupported", "content-type", texts={"actual": content_type})

    # --- routes --------------------------------------------------------------------------------------------

    def _dispatch(self, call: ApiCall) -> Reply | Response:
        path = call.request.path.removeprefix("/api/v3").rstrip("/")
        method = "GET" if call.request.method == "HEAD" else call.request.method
        for verb, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path) if verb == method else None
            if match and (self.profile.workspaces or not path.startswith("/workspaces")):
                handler: Handler = getattr(self, f"_{name}")
                return handler(call, *match.groups())
        raise not_found()

    def _root(self, call: ApiCall) -> Reply:
        return Reply(call.hal.root())

    def _specification(self, call: ApiCall) -> Reply:
        if not self.profile.service_desc_link:
            raise not_found()
        info = {"title": "OpenProject API V3 (Stable)", "version": "3"}
        return Reply({"openapi": "3.1.0", "info": info, "paths": {}})

    def _configuration(self, call: ApiCall) -> Reply:
        links = {"self": call.hal.link("/configuration")}
        host_name = {"hostName": self.host_name} if self.host_name is not None else {}
        options = [self.default_page_size, 100]
        return Reply({"_type": "Configuration", **host_name, "perPageOptions": options, "_links": links})

    def _me(self, call: ApiCall) -> Reply:
        """An anonymous request has no user: it is a 404 even on a public instance."""
        if call.user is ANONYMOUS:
            raise not_found()
        return Reply(call.hal.principal(call.user))

    def _principal(self, call: ApiCall, kind: str, number: str) -> Reply:
        person = self.world.principals.get(int(number))
        if person is None or person.kind != kind:
            raise not_found()
        return Reply(call.hal.principal(person))

    def _statuses(self, call: ApiCall) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        ordered = sorted(self.world.statuses.values(), key=lambda one: one.position)
        return Reply(call.hal.collection("/statuses", [call.hal.status(one) for one in ordered]))

    def _status(self, call: ApiCall, number: str) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        return Reply(call.hal.status(_find(self.world.statuses, number)))

    def _types(self, call: ApiCall) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        ordered = sorted(self.world.types.values(), key=lambda one: one.position)
        return Reply(call.hal.collection("/types", [call.hal.type(one) for one in ordered]))

    def _type(self, call: ApiCall, number: str) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        return Reply(call.hal.type(_find(self.world.types, number)))

    def _priorities(self, call: ApiCall) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        ordered = sorted(self.world.priorities.values(), key=lambda one: one.position)
        return Reply(call.hal.collection("/priorities", [call.hal.priority(one) for one in ordered]))

    def _priority(self, call: ApiCall, number: str) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        return Reply(call.hal.priority(_find(self.world.priorities, number)))

    # --- projects ------------------------------------------------------------------------------------------

    def _projects(self, call: ApiCall) -> Reply:
        return self._project_list(call, "/projects", list(self.world.projects.values()))

    def _project(self, call: ApiCall, text: str) -> Reply:
        return Reply(call.hal.project(self._visible_project(call, text)))

    def _available_projects(self, call: ApiCall) -> Reply:
        """List the projects in which the user may create; 403 if there are none."""
        self._require_anywhere(call, Right.ADD)
        creatable = [one for one in self.world.projects.values() if Right.ADD in self.world.rights(call.user, one.id)]
        return self._project_list(call, "/work_packages/available_projects", creatable)

    def _project_list(self, call: ApiCall, path: str, projects: list[Project]) -> Reply:
        visible = [one for one in projects if self.world.sees_project(call.user, one)]
        rows = [one for one in visible if _project_matches(one, call.params.get("filters", "[]"))]
        page, total = self._page(call), len(rows)
        shown = [call.hal.project(one) for one in page.cut(sorted(rows, key=lambda one: one.id))]
        return Reply(call.hal.paginated(path, shown, total=total, page=page, params=call.params))

    def _project_types(self, call: ApiCall, text: str) -> Reply:
        project = self._visible_project(call, text)
        self._require(call, project, Right.VIEW)
        types = [call.hal.type(one) for one in self.world.types_of(project.id)]
        return Reply(call.hal.collection(f"/projects/{project.id}/types", types))

    def _project_assignees(self, call: ApiCall, text: str) -> Reply:
        project = self._visible_project(call, text)
        self._require(call, project, Right.ADD, Right.EDIT)
        people = [call.hal.principal(person) for person in self.world.assignees(project.id)]
        return Reply(call.hal.collection(f"/projects/{project.id}/available_assignees", people))

    def _visible_project(self, call: ApiCall, text: str) -> Project:
        project = self.world.project(text)
        if project is None or not self.world.sees_project(call.user, project):
            raise not_found()
        return project

    def _require(self, call: ApiCall, project: Project, *rights: Right) -> None:
        if not self.world.rights(call.user, project.id) & set(rights):
            raise unauthorized()

    def _require_anywhere(self, call: ApiCall, right: Right) -> None:
        if not self.world.may_anywhere(call.user, right):
            raise unauthorized()

    # --- lists of work packages ----------------------------------------------------------------------------

    def _list(self, call: ApiCall) -> Reply:
        self._require_anywhere(call, Right.VIEW)
        return self._listed(call, "/work_packages", None)

    def _list_in_project(self, call: ApiCall, text: str) -> Reply:
        project = self._visible_project(call, text)
        self._require(call, project, Right.VIEW)
        return self._listed(call, f"/projects/{project.id}/work_packages", project)

    def _listed(self, call: ApiCall, path: str, project: Project | None) -> Reply:
        params = call.params
        select = Select.parse(params["select"], self.profile) if params.get("select") else None
        rows = found(params, Scope(self.world, call.user, self.profile, project.id if project else None))
        page = self._page(call, clamp=select is None)
        if page.size < 0:
            raise ApiError(500, "InternalServerError", "internal")
        shown = page.cut(rows)
        document = call.hal.work_packages(path, shown, total=len(rows), page=page, params=params, project=project)
        return Reply(select.reduced(document) if select else document)

    def _page(self, call: ApiCall, *, clamp: bool = True) -> Page:
        return page_of(call.params, default=self.default_page_size, maximum=self.max_page_size, clamp=clamp)

    # --- one work package ----------------------------------------------------------------------------------

    def _visible(self, call: ApiCall, text: str) -> WorkPackage:
        """Return a visible work package. Deleted, invisible and malformed ids raise the same ApiError."""
        work_package = find(self.world, call.user, text) if self.profile.display_ids or text.isdecimal() else None
        if work_package is None:
            raise no_work_package()
        return work_package

    def _show(self, call: ApiCall, text: str) -> Reply:
        return Reply(call.hal.work_package(self._visible(call, text), embed=True))

    def _schema(self, call: ApiCall, project: str, type_id: str) -> Reply:
        owner = self._visible_project(call, project)
        if int(type_id) not in owner.type_ids:
            raise not_found()
        return Reply(call.hal.schema(owner.id, int(type_id)))

    def _assignees(self, call: ApiCall, text: str) -> Reply:
        one = self._visible(call, text)
        if Right.EDIT not in self.world.rights_in(call.user, one):
            raise unauthorized()
        people = [call.hal.principal(person) for person in self.world.assignees(one.project_id)]
        return Reply(call.hal.collection(f"/work_packages/{one.id}/available_assignees", people))

    def _create(self, call: ApiCall) -> Reply | Response:
        return self._created(call, None)

    def _create_in_project(self, call: ApiCall, text: str) -> Reply | Response:
        return self._created(call, self._visible_project(call, text))

    def _created(self, call: ApiCall, project: Project | None) -> Reply | Response:
        candidate, errors = self._validate_create(call, project)
        if errors:
            raise one_or_many(errors)
        values = {name: getattr(candidate, name) for name in CREATED_VALUES}
        created = self.world.add_work_package(candidate.subject, candidate.project_id, **values)
        reply = Reply(call.hal.work_package(created, embed=True), 201)
        return self._interrupted_response(call, reply) or reply

    def _validate_create(self, call: ApiCall, project: Project | None) -> tuple[WorkPackage, list[ApiError]]:
        sent = write.read(call.body or {}, self.world)
        candidate = write.new_candidate(self.world, call.user, sent, project.id if project else None)
        target = self.world.projects.get(candidate.project_id)
        if target:
            self._require(call, target, Right.ADD)
        else:
            self._require_anywhere(call, Right.ADD)
        return candidate, write.errors_of_create(self.world, sent, candidate)

    def _interrupted_response(self, call: ApiCall, reply: Reply) -> Response | None:
        """Return the dropped or truncated response that a switch demands, or ``None``."""
        if self.fail_create_after_commit:
            return Response(_NoResponse(call.request), reply.status, content_type=HAL_JSON)
        if self.cut_create_answer:
            complete = _json(reply.document, reply.status)
            length = str(len(complete.get_data()))
            half = [complete.get_data()[: int(length) // 2]]
            return Response(half, reply.status, {"Content-Length": length}, content_type=HAL_JSON)
        return None

    def _update(self, call: ApiCall, text: str) -> Reply:
        self._visible(call, text)
        self.before_write()
        before = self._visible(call, text)
        after, errors = self._validate_update(call, before)
        if errors:
            raise one_or_many(errors)
        if write.changed_keys(before, after, self.world):
            updated = replace(after, lock_version=before.lock_version + 1, updated_at=self.world.stamp())
            self.world.work_packages[before.id] = updated
        return self._show(call, str(before.id))

    def _validate_update(self, call: ApiCall, before: WorkPackage) -> tuple[WorkPackage, list[ApiError]]:
        sent = write.read(call.body or {}, self.world)
        write.check_update_allowed(self.world, call.user, before, None if call.body is None else sent)
        after = write.changed_candidate(before, sent)
        return after, write.errors_of_update(self.world, call.user, sent, before, after, self.profile)

    def _delete(self, call: ApiCall, text: str) -> Reply:
        one = self._visible(call, text)
        if Right.DELETE not in self.world.rights_in(call.user, one):
            raise unauthorized()
        del self.world.work_packages[one.id]
        return Reply(None, 204)

    # --- forms ---------------------------------------------------------------------------------------------

    def _create_form(self, call: ApiCall) -> Reply:
        return self._new_form(call, "/work_packages/form", None)

    def _create_form_in_project(self, call: ApiCall, text: str) -> Reply:
        project = self._visible_project(call, text)
        return self._new_form(call, f"/projects/{project.id}/work_packages/form", project)

    def _new_form(self, call: ApiCall, path: str, project: Project | None) -> Reply:
        candidate, errors = self._validate_create(call, project)
        statuses = self.world.next_statuses(self.world.default_status().id)
        return Reply(call.hal.form(path, candidate, statuses, errors, new=True))

    def _update_form(self, call: ApiCall, text: str) -> Reply:
        before = self._visible(call, text)
        after, errors = self._validate_update(call, before)
        statuses = self.world.next_statuses(before.status_id)
        return Reply(call.hal.form(f"/work_packages/{before.id}/form", after, statuses, errors, new=False))


PROJECT = "/(?:projects|workspaces)/([^/]+)"
WORK_PACKAGE = "/work_packages/([^/]+)"

ROUTES: tuple[tuple[str, str, str], ...] = (
    ("GET", "", "root"),
    ("GET", "/(?:openapi|spec)[.]json", "specification"),
    ("GET", "/configuration", "configuration"),
    ("GET", "/users/me", "me"),
    ("GET", "/(users|groups|placeholder_users)/([0-9]+)", "principal"),
    ("GET", "/statuses", "statuses"),
    ("GET", "/statuses/([0-9]+)", "status"),
    ("GET", "/types", "types"),
    ("GET", "/types/([0-9]+)", "type"),
    ("GET", "/priorities", "priorities"),
    ("GET", "/priorities/([0-9]+)", "priority"),
    ("GET", "/(?:projects|workspaces)", "projects"),
    ("GET", PROJECT, "project"),
    ("GET", f"{PROJECT}/types", "project_types"),
    ("GET", f"{PROJECT}/available_assignees", "project_assignees"),
    ("GET", f"{PROJECT}/work_packages", "list_in_project"),
    ("POST", f"{PROJECT}/work_packages", "create_in_project"),
    ("POST", f"{PROJECT}/work_packages/form", "create_form_in_project"),
    ("GET", "/work_packages", "list"),
    ("POST", "/work_packages", "create"),
    ("POST", "/work_packages/form", "create_form"),
    ("GET", "/work_packages/available_projects", "available_projects"),
    ("GET", "/work_packages/schemas/([0-9]+)-([0-9]+)", "schema"),
    ("GET", WORK_PACKAGE, "show"),
    ("PATCH", WORK_PACKAGE, "update"),
    ("DELETE", WORK_PACKAGE, "delete"),
    ("POST", f"{WORK_PACKAGE}/form", "update_form"),
    ("GET", f"{WORK_PACKAGE}/available_assignees", "assignees"),
)
"""Method, path below ``/api/v3`` and handler; the first match handles the request."""

CREATED_VALUES = (
    "type_id", "status_id", "priority_id", "author_id", "description", "assignee_id", "responsible_id", "parent_id",
    "start_date", "due_date", "custom",
)  # fmt: skip


def _json(document: Document | None, status: int) -> Response:
    return Response(json.dumps(document, ensure_ascii=False), status, content_type=HAL_JSON)


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


def _unauthenticated(key: str, challenge: str) -> ApiError:
    return ApiError(401, "Unauthenticated", key, headers={"WWW-Authenticate": challenge})


def _find(resources: Mapping[int, Any], number: str) -> Any:
    if int(number) not in resources:
        raise not_found()
    return resources[int(number)]


def _project_matches(project: Project, filters: str) -> bool:
    return all(_project_meets_filter(project, one.name, " ".join(one.values)) for one in parse_filters(filters))


def _project_meets_filter(project: Project, name: str, text: str) -> bool:
    if name in ("typeahead", "name_and_identifier"):
        words = text.casefold().split()
        return all(word in project.name.casefold() or word in project.identifier for word in words)
    if name == "type":
        return text in map(str, project.type_ids)
    return name in ("active", "user_action", "storage")


class _NoResponse(Iterator[bytes]):
    """A response body that shuts the connection before the first byte."""

    def __init__(self, request: Request) -> None:
        self._connection = request.environ.get("werkzeug.socket")

    def __next__(self) -> bytes:
        if self._connection is not None:
            self._connection.shutdown(2)
        raise ConnectionResetError("dropped on purpose")
