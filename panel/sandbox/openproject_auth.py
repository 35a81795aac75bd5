"""Authentication at the OpenProject stand-in: API keys, OAuth tokens, and the challenges of each version."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from werkzeug.wrappers import Request

from panel.sandbox.openproject_call import Instance
from panel.sandbox.openproject_errors import ApiError
from panel.sandbox.openproject_oauth import OAuthServer, Token
from panel.sandbox.openproject_state import ANONYMOUS, Principal

REALM = 'realm="OpenProject API"'


@dataclass(frozen=True, slots=True)
class Authentication:
    instance: Instance
    oauth: OAuthServer

    def user_of(self, request: Request) -> Principal:
        """Return the user of a request. Raises ApiError 401, or 403 for a token without the scope ``api_v3``."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return self._user_of_basic(credentials)
        if scheme.lower() == "bearer":
            return self._user_of_bearer(credentials.strip(), request)
        return self._anonymous(request)

    def _anonymous(self, request: Request) -> Principal:
        if self.instance.login_required:
            challenge = self._bearer_challenge(request) if self.instance.profile.bearer_challenge else f"Basic {REALM}"
            raise _unauthenticated("unauthenticated", challenge)
        return ANONYMOUS

    def _user_of_basic(self, credentials: str) -> Principal:
        """Return the owner of an API key. The user name must be ``apikey``.

        Raises ApiError for wrong credentials, also on an instance that is open to everybody.
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
        accepted = self.instance.profile.bearer_api_tokens and token.startswith("opapi-")
        user = self._owner(token) if accepted else None
        if user is None or user.locked:
            raise _unauthenticated("wrong-credentials", self._invalid_token(request, locked=user is not None))
        return user

    def _user_of_token(self, token: Token, request: Request) -> Principal:
        """Return the user of an OAuth token; without one, the anonymous user."""
        if "api_v3" not in token.scope.split():
            headers = {"WWW-Authenticate": f'{self._bearer_challenge(request)}, error="insufficient_scope"'}
            raise ApiError(403, "Unauthenticated", "wrong-credentials", headers=headers)
        user = self.oauth.user_of(token)
        return self._anonymous(request) if user is ANONYMOUS else user

    def _owner(self, token: str) -> Principal | None:
        return next((person for person in self.instance.world.principals.values() if token in person.tokens), None)

    def _invalid_token(self, request: Request, *, locked: bool) -> str:
        if not self.instance.profile.invalid_token_challenge:
            return ""
        reason = ', error_description="The user account is locked"' if locked else ""
        return f'{self._bearer_challenge(request)}, error="invalid_token"{reason}'

    def _bearer_challenge(self, request: Request) -> str:
        if not self.instance.profile.bearer_challenge:
            return f"Bearer {REALM}"
        metadata = f"{request.host_url}.well-known/oauth-protected-resource"
        return f'Bearer {REALM}, resource_metadata="{metadata}", scope="api_v3"'


def _unauthenticated(key: str, challenge: str) -> ApiError:
    return ApiError(401, "Unauthenticated", key, headers={"WWW-Authenticate": challenge} if challenge else {})
