"""OAuth server of the stand-in. Like OpenProject's own (Doorkeeper): consent page, tokens, rotation.

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

CODE_LIFETIME_S = 600
UNKNOWN_CLIENT = Markup("<p>The client is not known, or it has no such redirect address.</p>")
FORM = "application/x-www-form-urlencoded"
OWN_CALLBACK = r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/admin/oauth/callback"


@dataclass(frozen=True, slots=True)
class App:
    """A registered OAuth application. Without a secret it is a public client and must use PKCE."""

    client_id: str
    secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("api_v3",)
    redirect_uris: str = OWN_CALLBACK
    """A regular expression, because the port of a panel under test is not known in advance."""
    credentials_user: int | None = None
    """Id of the user of ``client_credentials`` tokens; ``None`` means the anonymous user."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    app: str
    user_id: int
    redirect_uri: str
    scope: str
    challenge: str
    method: str
    issued_at: float


@dataclass(frozen=True, slots=True)
class Token:
    app: str
    user_id: int | None
    scope: str
    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: float = 0.0
    revoked: bool = False
    previous_refresh: str = field(default="", repr=False)
    """The refresh token that this token replaces. It and its access token are revoked on the first use of this one."""


class OAuthError(Exception):
    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class OAuthServer:
    """Serves ``/oauth/authorize``, ``/oauth/token`` and ``/oauth/revoke``. Its attributes are switches for tests."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.codes: dict[str, Code] = {}
        self.tokens: list[Token] = []
        self.expires_in: float = 7200
        self.rotation = "at-use"
        """When a used refresh token is revoked: ``at-use`` of the new access token, ``at-once``, or ``never``."""
        self.gives_refresh = True
        self.client_auth = frozenset({"basic", "form"})
        """How clients may authenticate: by Basic credentials, or by fields of the form."""
        self.issuer: str | None = None
        """Sent as ``iss`` if set, as newer servers do."""
        self.fail_with = ""
        """The error code of every token request; empty for none."""
        self.before_answer: Callable[[], object] = lambda: None
        """Called after a token is issued and before the response is sent."""
        self.counts: Counter[str] = Counter()
        """Number of issued tokens by grant type."""

    # --- switches ------------------------------------------------------------------------------------------

    def add_app(self, client_id: str, secret: str = "", **values: object) -> App:
        app = App(client_id, secret, **values)  # type: ignore[arg-type]
        self.apps[client_id] = app
        return app

    def disable(self, client_id: str) -> None:
        self.apps[client_id] = replace(self.apps[client_id], enabled=False)

    def end_access_tokens(self) -> None:
        """Expire all access tokens now; the refresh tokens stay valid."""
        with self.lock:
            self.tokens = [replace(token, expires_at=0.0) for token in self.tokens]

    def revoke_all(self) -> None:
        with self.lock:
            self.tokens = [replace(token, revoked=True) for token in self.tokens]

    # --- for the API ---------------------------------------------------------------------------------------

    def token_of(self, access: str) -> Token | None:
        """Return a valid token, or ``None``. Its first use revokes the refresh token that it replaces."""
        with self.lock:
            found = next((token for token in self.tokens if token.access == access), None)
            if found is None or found.revoked or found.expires_at <= time.time() or not self.apps[found.app].enabled:
                return None
            if found.previous_refresh:
                self._revoke_refresh(found.previous_refresh)
            return found

    def user_of(self, token: Token) -> Principal:
        return ANONYMOUS if token.user_id is None else self.world.principals[token.user_id]

    def _revoke_refresh(self, refresh: str) -> None:
        self.tokens = [replace(token, revoked=True) if token.refresh == refresh else token for token in self.tokens]

    # --- requests ------------------------------------------------------------------------------------------

    def answer(self, request: Request, viewer: Principal) -> Response:
        if request.path == "/oauth/authorize":
            return self._authorize(request, viewer)
        if request.method != "POST" or request.path not in ("/oauth/token", "/oauth/revoke"):
            return _json({"error": "not_found"}, 404)
        try:
            if request.mimetype != FORM:
                raise OAuthError("invalid_request", 415)
            form = {name: values[-1] for name, values in parse_qs(request.get_data(as_text=True)).items()}
            app = self._app_of(request, form)
            with self.lock:
                body = self._token(form, app) if request.path == "/oauth/token" else self._revoke(form)
        except OAuthError as exc:
            return _json({"error": exc.error, "error_description": "Refused by the stand-in."}, exc.status)
        self.before_answer()
        return _json(body)

    def _app_of(self, request: Request, form: Mapping[str, str]) -> App:
        """Authenticate the client by Basic credentials or by form fields. Raises OAuthError."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if ("basic" if scheme else "form") not in self.client_auth:
            raise OAuthError("invalid_client", 401)
        if scheme.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise OAuthError("invalid_client", 401) from None
            client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        app = self.apps.get(client_id)
        if app is None or not app.enabled or app.secret != secret:
            raise OAuthError("invalid_client", 401)
        return app

    # --- tokens --------------------------------------------------------------------------------------------

    def _token(self, form: Mapping[str, str], app: App) -> dict[str, object]:
        if self.fail_with:
            raise OAuthError(self.fail_with, 401 if self.fail_with == "invalid_client" else 400)
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh,
            "client_credentials": self._by_client_credentials,
        }
        grant = form.get("grant_type", "")
        if grant not in grants:
            raise OAuthError("unsupported_grant_type")
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
            raise OAuthError("invalid_grant")
        if time.time() - code.issued_at > CODE_LIFETIME_S or not _verifier_matches(code, form.get("code_verifier", "")):
            raise OAuthError("invalid_grant")
        return self._issue(app, code.user_id, code.scope, with_refresh=self.gives_refresh)

    def _by_refresh(self, form: Mapping[str, str], app: App) -> Token:
        refresh = form.get("refresh_token", "")
        previous = next((token for token in self.tokens if refresh and token.refresh == refresh), None)
        if previous is None or previous.revoked or previous.app != app.client_id:
            raise OAuthError("invalid_grant")
        if self.rotation == "at-once":
            self._revoke_refresh(refresh)
        token = self._issue(app, previous.user_id, previous.scope, with_refresh=self.rotation != "never")
        return replace(token, previous_refresh=refresh) if self.rotation == "at-use" else token

    def _by_client_credentials(self, form: Mapping[str, str], app: App) -> Token:
        scope = form.get("scope", "api_v3")
        if not set(scope.split()) <= set(app.scopes):
            raise OAuthError("invalid_scope")
        if not app.secret:
            raise OAuthError("unauthorized_client")
        return self._issue(app, app.credentials_user, scope, with_refresh=False)

    def _issue(self, app: App, user_id: int | None, scope: str, *, with_refresh: bool) -> Token:
        refresh = secrets.token_urlsafe(32) if with_refresh else ""
        return Token(app.client_id, user_id, scope, secrets.token_urlsafe(32), refresh, time.time() + self.expires_in)

    def _revoke(self, form: Mapping[str, str]) -> dict[str, object]:
        text = form.get("token", "")
        self.tokens = [
            replace(token, revoked=True) if text and text in (token.access, token.refresh) else token
            for token in self.tokens
        ]
        return {}

    # --- consent -------------------------------------------------------------------------------------------

    def _authorize(self, request: Request, viewer: Principal) -> Response:
        """GET renders the consent page, POST handles the decision made on it."""
        values = request.args if request.method == "GET" else request.form
        params = {name: values.get(name, "") for name in (
            "client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method",
        )}  # fmt: skip
        app = self.apps.get(params["client_id"])
        if app is None or not app.enabled or not re.fullmatch(app.redirect_uris, params["redirect_uri"]):
            return show("An error has occurred", UNKNOWN_CLIENT, 400)
        error = _error_in(params, app)
        if error or request.form.get("decision") == "deny":
            return self._redirect_back(params, {"error": error or "access_denied"})
        if request.method == "GET":
            return _consent(params, app, viewer, request)
        code = secrets.token_urlsafe(32)
        scope = params["scope"] or app.scopes[0]
        self.codes[code] = Code(
            app.client_id, viewer.id, params["redirect_uri"], scope, params["code_challenge"],
            params["code_challenge_method"], time.time(),
        )  # fmt: skip
        return self._redirect_back(params, {"code": code})

    def _redirect_back(self, params: Mapping[str, str], result: dict[str, str]) -> Response:
        if params["state"]:
            result["state"] = params["state"]
        if self.issuer is not None:
            result["iss"] = self.issuer
        return Response("", 302, {"Location": f"{params['redirect_uri']}?{urlencode(result)}"})


def _error_in(params: Mapping[str, str], app: App) -> str:
    if params["response_type"] != "code":
        return "unsupported_response_type"
    if not set(params["scope"].split()) <= set(app.scopes):
        return "invalid_scope"
    lacks_pkce = not app.secret and not params["code_challenge"]
    return "invalid_request" if lacks_pkce or params["code_challenge_method"] not in ("", "plain", "S256") else ""


def _verifier_matches(code: Code, verifier: str) -> bool:
    """https://www.rfc-editor.org/rfc/rfc7636#section-4.6"""
    if not code.challenge:
        return not verifier
    if code.method != "S256":
        return code.challenge == verifier
    digest = hashlib.sha256(verifier.encode()).digest()
    return code.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _consent(params: Mapping[str, str], app: App, viewer: Principal, request: Request) -> Response:
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value) for name, value in params.items()
    )
    text = Markup(
        "<p><b>{client}</b> asks to act as <b>{viewer}</b> with the scope <code>{scope}</code>.</p>"
        '<form method="post" action="{action}">{hidden}<button name="decision" value="allow">Authorize</button> '
        '<button name="decision" value="deny">Deny</button></form>'
    )
    action = f"{request.root_path.rstrip('/')}/oauth/authorize"
    scope = params["scope"] or app.scopes[0]
    body = text.format(client=app.client_id, viewer=viewer.name, scope=scope, action=action, hidden=hidden)
    return show("Authorization required", body)


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=utf-8")
