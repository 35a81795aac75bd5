"""The stand-in's OAuth server, as OpenProject's built-in one (Doorkeeper) behaves: consent page, tokens, rotation.

https://www.openproject.org/docs/system-admin-guide/authentication/oauth-applications/
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote_plus, urlencode

from markupsafe import Markup
from werkzeug.wrappers import Request, Response

from panel.sandbox.openproject_pages import show
from panel.sandbox.openproject_state import ANONYMOUS, Principal, World

CODE_LIFE_S = 600
UNKNOWN_CLIENT = Markup("<p>The client is not known, or it has no such redirect address.</p>")
FORM = "application/x-www-form-urlencoded"
OWN_CALLBACK = r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/admin/oauth/callback"


@dataclass(frozen=True, slots=True)
class App:
    """An application as an administrator registers it. Without a secret it is a public one and must use PKCE."""

    client_id: str
    secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("api_v3",)
    redirect_uris: str = OWN_CALLBACK
    """A pattern, since nobody knows the port of a panel that is only being tried out."""
    credentials_user: int | None = None
    """Who acts with ``client_credentials``; nobody: the token then stands for the anonymous user."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    app: str
    user_id: int
    redirect_uri: str
    scope: str
    challenge: str
    method: str
    made_at: float


@dataclass(frozen=True, slots=True)
class Token:
    app: str
    user_id: int | None
    scope: str
    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    ends_at: float = 0.0
    revoked: bool = False
    previous_refresh: str = field(default="", repr=False)
    """The refresh token that this one was made with: revoked with its access token when this one is first used."""


class Refused(Exception):
    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class OAuthServer:
    """Serves ``/oauth/authorize``, ``/oauth/token`` and ``/oauth/revoke``. The attributes are switches for tests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.codes: dict[str, Code] = {}
        self.tokens: list[Token] = []
        self.expires_in: float = 7200
        self.rotation = "at-use"
        """When an old refresh token ends: ``at-use`` of the new access token; with others ``at-once`` or ``never``."""
        self.gives_refresh = True
        self.issuer: str | None = None
        """Told as ``iss`` when set, as newer servers do."""
        self.fail_with = ""
        """An error code with which every request for a token is refused."""
        self.before_answer: Callable[[], object] = lambda: None
        """Called when a token has been made and before anybody is told."""
        self.counts: Counter[str] = Counter()
        """Tokens that were given out, by grant."""

    # --- switches ------------------------------------------------------------------------------------------

    def add_app(self, client_id: str, secret: str = "", **values: object) -> App:
        app = App(client_id, secret, **values)  # type: ignore[arg-type]
        self.apps[client_id] = app
        return app

    def disable(self, client_id: str) -> None:
        self.apps[client_id] = replace(self.apps[client_id], enabled=False)

    def end_access_tokens(self) -> None:
        """All access tokens end now; the refresh tokens stay."""
        with self.lock:
            self.tokens = [replace(token, ends_at=0.0) for token in self.tokens]

    def revoke_all(self) -> None:
        with self.lock:
            self.tokens = [replace(token, revoked=True) for token in self.tokens]

    # --- for the API ---------------------------------------------------------------------------------------

    def token_of(self, access: str) -> Token | None:
        """A token that is in force. Its first use ends the one that it was made from."""
        with self.lock:
            found = next((token for token in self.tokens if token.access == access), None)
            if found is None or found.revoked or found.ends_at <= time.time() or not self.apps[found.app].enabled:
                return None
            if found.previous_refresh:
                self._revoke_refresh(found.previous_refresh)
            return found

    def user_of(self, token: Token) -> Principal:
        return ANONYMOUS if token.user_id is None else self.world.principals[token.user_id]

    def _revoke_refresh(self, refresh: str) -> None:
        self.tokens = [replace(token, revoked=True) if token.refresh == refresh else token for token in self.tokens]

    # --- requests ------------------------------------------------------------------------------------------

    def answer(self, request: Request, reader: Principal) -> Response:
        if request.path == "/oauth/authorize":
            return self._authorize(request, reader)
        if request.method != "POST" or request.path not in ("/oauth/token", "/oauth/revoke"):
            return _json({"error": "not_found"}, 404)
        try:
            if request.mimetype != FORM:
                raise Refused("invalid_request", 415)
            form = {name: values[-1] for name, values in parse_qs(request.get_data(as_text=True)).items()}
            app = self._app_of(request, form)
            with self.lock:
                body = self._token(form, app) if request.path == "/oauth/token" else self._revoke(form)
        except Refused as refused:
            return _json({"error": refused.error, "error_description": "Refused by the stand-in."}, refused.status)
        self.before_answer()
        return _json(body)

    def _app_of(self, request: Request, form: Mapping[str, str]) -> App:
        """The client by its Basic credentials or by the fields of the form."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, packed = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise Refused("invalid_client", 401) from None
            client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        app = self.apps.get(client_id)
        if app is None or not app.enabled or app.secret != secret:
            raise Refused("invalid_client", 401)
        return app

    # --- tokens --------------------------------------------------------------------------------------------

    def _token(self, form: Mapping[str, str], app: App) -> dict[str, object]:
        if self.fail_with:
            raise Refused(self.fail_with, 401 if self.fail_with == "invalid_client" else 400)
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh,
            "client_credentials": self._by_client,
        }
        grant = form.get("grant_type", "")
        if grant not in grants:
            raise Refused("unsupported_grant_type")
        token = grants[grant](form, app)
        self.tokens.append(token)
        self.counts[grant] += 1
        body: dict[str, object] = {
            "access_token": token.access, "token_type": "Bearer", "expires_in": self.expires_in,
            "scope": token.scope, "created_at": int(time.time()),
        }  # fmt: skip
        return {**body, "refresh_token": token.refresh} if token.refresh else body

    def _by_code(self, form: Mapping[str, str], app: App) -> Token:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.app != app.client_id or code.redirect_uri != form.get("redirect_uri"):
            raise Refused("invalid_grant")
        if time.time() - code.made_at > CODE_LIFE_S or not _is_proven(code, form.get("code_verifier", "")):
            raise Refused("invalid_grant")
        return self._new(app, code.user_id, code.scope, refreshing=self.gives_refresh)

    def _by_refresh(self, form: Mapping[str, str], app: App) -> Token:
        refresh = form.get("refresh_token", "")
        old = next((token for token in self.tokens if refresh and token.refresh == refresh), None)
        if old is None or old.revoked or old.app != app.client_id:
            raise Refused("invalid_grant")
        if self.rotation == "at-once":
            self._revoke_refresh(refresh)
        made = self._new(app, old.user_id, old.scope, refreshing=self.rotation != "never")
        return replace(made, previous_refresh=refresh) if self.rotation == "at-use" else made

    def _by_client(self, form: Mapping[str, str], app: App) -> Token:
        scope = form.get("scope", "api_v3")
        if not set(scope.split()) <= set(app.scopes):
            raise Refused("invalid_scope")
        if not app.secret:
            raise Refused("unauthorized_client")
        return self._new(app, app.credentials_user, scope, refreshing=False)

    def _new(self, app: App, user_id: int | None, scope: str, *, refreshing: bool) -> Token:
        refresh = secrets.token_urlsafe(32) if refreshing else ""
        return Token(app.client_id, user_id, scope, secrets.token_urlsafe(32), refresh, time.time() + self.expires_in)

    def _revoke(self, form: Mapping[str, str]) -> dict[str, object]:
        text = form.get("token", "")
        self.tokens = [
            replace(token, revoked=True) if text and text in (token.access, token.refresh) else token
            for token in self.tokens
        ]
        return {}

    # --- consent -------------------------------------------------------------------------------------------

    def _authorize(self, request: Request, reader: Principal) -> Response:
        """GET shows the consent page, POST is the answer given on it."""
        asked = request.args if request.method == "GET" else request.form
        params = {name: asked.get(name, "") for name in (
            "client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method",
        )}  # fmt: skip
        app = self.apps.get(params["client_id"])
        if app is None or not app.enabled or not re.fullmatch(app.redirect_uris, params["redirect_uri"]):
            return show("An error has occurred", UNKNOWN_CLIENT, 400)
        error = _fault_of(params, app)
        if error or request.form.get("decision") == "deny":
            return self._back(params, {"error": error or "access_denied"})
        if request.method == "GET":
            return _consent(params, app, reader, request)
        code = secrets.token_urlsafe(32)
        scope = params["scope"] or app.scopes[0]
        self.codes[code] = Code(
            app.client_id, reader.id, params["redirect_uri"], scope, params["code_challenge"],
            params["code_challenge_method"], time.time(),
        )  # fmt: skip
        return self._back(params, {"code": code})

    def _back(self, params: Mapping[str, str], told: dict[str, str]) -> Response:
        if params["state"]:
            told["state"] = params["state"]
        if self.issuer is not None:
            told["iss"] = self.issuer
        return Response("", 302, {"Location": f"{params['redirect_uri']}?{urlencode(told)}"})


def _fault_of(params: Mapping[str, str], app: App) -> str:
    if params["response_type"] != "code":
        return "unsupported_response_type"
    if not set(params["scope"].split()) <= set(app.scopes):
        return "invalid_scope"
    must_prove = not app.secret and not params["code_challenge"]
    return "invalid_request" if must_prove or params["code_challenge_method"] not in ("", "plain", "S256") else ""


def _is_proven(code: Code, verifier: str) -> bool:
    """https://www.rfc-editor.org/rfc/rfc7636#section-4.6"""
    if not code.challenge:
        return not verifier
    if code.method != "S256":
        return code.challenge == verifier
    digest = hashlib.sha256(verifier.encode()).digest()
    return code.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _consent(params: Mapping[str, str], app: App, reader: Principal, request: Request) -> Response:
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value) for name, value in params.items()
    )
    text = Markup(
        "<p><b>{client}</b> asks to act as <b>{reader}</b> with the scope <code>{scope}</code>.</p>"
        '<form method="post" action="{action}">{hidden}<button name="decision" value="allow">Authorize</button> '
        '<button name="decision" value="deny">Deny</button></form>'
    )
    action = f"{request.root_path.rstrip('/')}/oauth/authorize"
    scope = params["scope"] or app.scopes[0]
    body = text.format(client=app.client_id, reader=reader.name, scope=scope, action=action, hidden=hidden)
    return show("Authorization required", body)


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=utf-8")
