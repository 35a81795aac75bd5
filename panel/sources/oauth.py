"""OAuth 2.0 for sources: requests tokens, stores them encrypted and renews each of them once for all processes.

Token requests are sent by the connector. Authlib builds the parameters and sends nothing. No token is shown or logged.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import Engine

from panel.connector import (
    Caller,
    Connector,
    Deadline,
    DeadlinePassed,
    GrantType,
    OauthClient,
    SourceConfig,
    origin_of,
)
from panel.connector.endpoint import parse_endpoint
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, PanelError, ProviderUnavailable
from panel.core.health import AuthStatus
from panel.core.messages import _, sentences
from panel.core.reasons import Reason
from panel.credentials.vault import Unreadable, Vault
from panel.logs.audit import Actor
from panel.sources.oauth_client_auth import ClientAuthentication
from panel.sources.oauth_responses import NOT_RENEWABLE, Refusal, Tokens, read_tokens, why_ended
from panel.sources.oauth_store import Attempts, Grant, Grants

LEASE_MARGIN_S = 1.0
"""Time that a lease lasts beyond the token request, so that its holder can store the response."""
POLL_S = 0.03
EXCHANGE_DEADLINE_S = 10.0

log = logging.getLogger(__name__)


class ConnectFailed(PanelError):
    """The authorization at the provider did not end with a grant. Nothing was stored."""


class Oauth:
    """The connector's ``OauthSigner``, and the authorization code flow with the provider's consent page."""

    def __init__(self, engine: Engine, vault: Vault, connector: Connector) -> None:
        self._grants = Grants(engine, vault)
        self._attempts = Attempts(engine, vault)
        self._client_auth = ClientAuthentication(connector)
        self._locks: dict[str, threading.Lock] = {}

    # --- signing -------------------------------------------------------------------------------------------------

    def header(self, source: SourceConfig, deadline: Deadline, caller: Caller) -> str:
        client = _client(source)
        if not client.origins:
            return f"Bearer {self._temporary_token(source, client, deadline, caller).access}"
        grant = self._read(source, client)
        if grant is None or not grant.is_fresh:
            grant = self._renewed_grant(source, client, deadline, caller)
        return f"Bearer {grant.access}"

    def refused(self, source: SourceConfig, header: str) -> None:
        client = _client(source)
        grant = self._read(source, client) if client.origins else None
        if grant is not None and header == f"Bearer {grant.access}":
            self._grants.forget_access(source.id, grant.version)

    def refusal(self, source: SourceConfig, problem: Problem) -> Problem:
        if _client(source).grant is GrantType.AUTHORIZATION_CODE:
            return Problem(
                Reason.AUTHENTICATION_EXPIRED, sentences(problem.message, _("The authorisation may have been revoked."))
            )
        return problem

    def _read(self, source: SourceConfig, client: OauthClient) -> Grant | None:
        try:
            return self._grants.read(source)
        except Unreadable as exc:
            if client.grant is GrantType.CLIENT_CREDENTIALS:
                return None
            message = _('The stored authorisation of OpenConnector source "{slug}" cannot be read.', slug=source.slug)
            raise ProviderUnavailable.because(Reason.SOURCE_UNREADABLE, message) from exc

    def _temporary_token(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Tokens:
        """Request a token for unsaved settings and do not store it."""
        if client.grant is GrantType.AUTHORIZATION_CODE:
            raise ProviderUnavailable(_not_connected(_("Save and connect these settings before testing them.")))
        return _require_unexpired(self._request_client_credentials(source, client, deadline, caller))

    # --- renewing ------------------------------------------------------------------------------------------------

    def _renewed_grant(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Grant:
        """A fresh grant. A lock in this process and a lease in the database let one caller renew it for all."""
        try:
            with self._locked(source.id, deadline):
                return self._renew_in_turn(source, client, deadline, caller)
        except DeadlinePassed:
            grant = self._read(source, client)
            if grant is not None and grant.is_alive:
                return grant
            message = _(
                "The sign-in of source {slug} is being renewed and was not ready in time.", slug=repr(source.slug)
            )
            raise ProviderUnavailable.because(Reason.BUSY, message, retry_after=1.0) from None

    def _renew_in_turn(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Grant:
        while True:
            grant = self._read(source, client)
            if grant is not None and grant.is_fresh:
                return grant
            self._require_renewable(source, client, grant)
            holder = secrets.token_hex(16)
            if not self._grants.lease(source.id, holder, deadline.remaining() + LEASE_MARGIN_S):
                _pause(deadline)
                continue
            try:
                result = self._renew_with_lease(source, client, holder, deadline, caller)
            finally:
                self._grants.release(source.id, holder)
            if result is not None:
                return result

    def _require_renewable(self, source: SourceConfig, client: OauthClient, grant: Grant | None) -> None:
        """Raises ProviderUnavailable for a grant that only a new authorization by a person can replace."""
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            if grant is None:
                self._grants.prepare(source.id)
            return
        if grant is None or grant.state is AuthStatus.MISSING:
            raise ProviderUnavailable(_not_connected(_("The source is not connected yet: it has no authorisation.")))
        if grant.state is AuthStatus.EXPIRED:
            raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, why_ended(grant.detail))
        if not grant.refresh:
            self._grants.expire(source.id, grant.version, NOT_RENEWABLE)
            raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, NOT_RENEWABLE)

    def _renew_with_lease(
        self, source: SourceConfig, client: OauthClient, holder: str, deadline: Deadline, caller: Caller
    ) -> Grant | None:
        """Renew the grant as holder of the lease. Returns None, without storing, when the lease was lost.

        The new tokens are committed before they are used: a provider may revoke the old refresh token at its first use.
        """
        grant = self._read(source, client)
        if grant is not None and grant.is_fresh:
            return grant
        # Another process may have marked the grant as ended between the last check and the lease.
        self._require_renewable(source, client, grant)
        try:
            tokens = self._request_renewal(source, client, grant, deadline, caller)
        except ProviderUnavailable as exc:
            if exc.reason.facts.temporary and grant is not None and grant.is_alive:
                log.warning("Source %s keeps its old token for now: %s", source.slug, exc.reason.value)
                return grant
            raise
        if not self._grants.renew(source, tokens, holder):
            return None
        return Grant(AuthStatus.CONFIGURED, "", 0, None, _require_unexpired(tokens).access)

    def _request_renewal(
        self, source: SourceConfig, client: OauthClient, grant: Grant | None, deadline: Deadline, caller: Caller
    ) -> Tokens:
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            return self._request_client_credentials(source, client, deadline, caller)
        assert grant is not None  # noqa: S101  (checked by _require_renewable)
        # https://www.rfc-editor.org/rfc/rfc6749#section-6
        form = prepare_token_request("refresh_token", refresh_token=grant.refresh)
        result = self._request_tokens("refresh_token", form, source, client, deadline, caller)
        if isinstance(result, Refusal):
            if result.is_final:
                self._grants.expire(source.id, grant.version, result.problem.message)
            raise ProviderUnavailable(result.problem)
        return Tokens(result.access, result.refresh or grant.refresh, result.life)

    def _request_client_credentials(
        self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller
    ) -> Tokens:
        """Request a token as the client itself: https://www.rfc-editor.org/rfc/rfc6749#section-4.4."""
        form = prepare_token_request("client_credentials", scope=client.scope)
        result = self._request_tokens("client_credentials", form, source, client, deadline, caller)
        if isinstance(result, Refusal):
            raise ProviderUnavailable(result.problem)
        # This grant has no refresh token (RFC 6749, section 4.4.3): the client secret gets a new token.
        return Tokens(result.access, "", result.life)

    def _request_tokens(
        self, grant_type: str, form: str, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller
    ) -> Tokens | Refusal:
        """Send a token request: https://www.rfc-editor.org/rfc/rfc6749#section-3.2. Raises ProviderUnavailable."""
        try:
            return read_tokens(self._client_auth.post(form, source, client, caller, deadline), grant_type)
        except ProviderUnavailable as exc:
            if exc.problem.setting == "location":
                # The request went to the token address, which is a setting of its own.
                exc.problem = replace(exc.problem, field="auth.tokenUrl")
            raise

    @contextmanager
    def _locked(self, source_id: str, deadline: Deadline) -> Iterator[None]:
        lock = self._locks.setdefault(source_id, threading.Lock())
        if not lock.acquire(timeout=deadline.remaining()):
            raise DeadlinePassed
        try:
            yield
        finally:
            lock.release()

    # --- connecting ----------------------------------------------------------------------------------------------

    def begin(self, source: SourceConfig, *, user_id: int, browser: str, redirect_uri: str) -> str:
        """The address of the consent page: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1.

        ``browser`` is a secret of the user's session. Only that session can finish the authorization.
        """
        client = _consent_client(source)
        state, verifier = generate_token(48), generate_token(64)
        self._attempts.begin(source, user_id, state, browser, verifier)
        address: str = prepare_grant_uri(
            client.authorization_url,
            client.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=client.scope or None,
            state=state,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address

    def finish(
        self, visit: ConsentVisit, config_of: Callable[[str], SourceConfig], caller: Caller, *, by: Actor
    ) -> SourceConfig:
        """Exchange the authorization code for a grant and store it. An attempt can be finished once, even if it fails.

        ``config_of`` returns a source by its id. Raises ConnectFailed and ProviderUnavailable; then nothing is stored.
        """
        attempt = self._attempts.take(visit.only("state"), visit.browser)
        if attempt is None or attempt.user_id != visit.user_id:
            raise ConnectFailed(_("This answer belongs to no sign-in that was started in this browser."))
        if attempt.is_late:
            raise ConnectFailed(_("This took longer than ten minutes. Connect again."))
        source = config_of(attempt.source_id)
        client = _consent_client(source)
        _check_issuer(visit, client)
        _check_consent(visit)
        try:
            verifier = self._attempts.verifier(attempt, source)
        except Unreadable:
            raise ConnectFailed(_("The source was changed during the sign-in. Connect again.")) from None
        tokens = self._exchange_code(visit, verifier, source, client, caller)
        if not self._grants.replace(source, tokens, by=by):
            raise ConnectFailed(_("The source was deleted during the sign-in."))
        return source

    def _exchange_code(
        self, visit: ConsentVisit, verifier: str, source: SourceConfig, client: OauthClient, caller: Caller
    ) -> Tokens:
        """Exchange the code for tokens.

        https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3 and https://www.rfc-editor.org/rfc/rfc7636#section-4.5.
        """
        form = prepare_token_request(
            "authorization_code", redirect_uri=visit.redirect_uri, code=visit.only("code"), code_verifier=verifier
        )
        deadline = Deadline(source.timeout_s or EXCHANGE_DEADLINE_S)
        result = self._request_tokens("authorization_code", form, source, client, deadline, caller)
        if isinstance(result, Refusal):
            raise ProviderUnavailable(result.problem)
        return _require_unexpired(result)


@dataclass(frozen=True, slots=True)
class ConsentVisit:
    """A redirect back from the provider. ``browser`` is the secret of the session in which the authorization began."""

    params: Mapping[str, Sequence[str]] = field(repr=False)
    user_id: int
    browser: str = field(repr=False)
    redirect_uri: str

    def only(self, name: str) -> str:
        """The value of a parameter, "" when it is missing. Raises ConnectFailed when it occurs twice."""
        values = self.params.get(name, ())
        if len(values) > 1:
            raise ConnectFailed(_("The provider sent a parameter twice."))
        return values[0] if values else ""


def _check_issuer(visit: ConsentVisit, client: OauthClient) -> None:
    """Require the issuer, if the response names one, to be the provider: https://www.rfc-editor.org/rfc/rfc9207."""
    issuer = visit.only("iss")
    if not issuer and "iss" not in visit.params:
        return
    expected = urlsplit(client.authorization_url)
    try:
        same = origin_of(issuer) == origin_of(client.authorization_url)
    except ValueError:
        same = False
    path = urlsplit(issuer).path.rstrip("/") if same else ""
    if not same or not expected.path.startswith(f"{path}/"):
        raise ConnectFailed(_("The answer comes from another provider than that of the source."))


def _check_consent(visit: ConsentVisit) -> None:
    """Raises ConnectFailed for an error response: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1."""
    error = visit.only("error")
    if error == "access_denied":
        raise ConnectFailed(_("Access was declined at the provider."))
    if error == "invalid_scope":
        raise ConnectFailed(_("The provider does not give this client the scope that the source asks for."))
    if error:
        raise ConnectFailed(_("The provider refused the request. Check client id, scope and grant."))
    if not visit.only("code"):
        raise ConnectFailed(_("The answer of the provider has no code."))


def consent_origin(authorization_url: str) -> str:
    """The origin of a consent page, as headers spell it."""
    return parse_endpoint(authorization_url.partition("?")[0]).origin


def _client(source: SourceConfig) -> OauthClient:
    if source.auth.oauth is None:
        message = _("Source {slug} has no settings for OAuth 2.0.", slug=repr(source.slug))
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="auth")
    return source.auth.oauth


def _consent_client(source: SourceConfig) -> OauthClient:
    """The client of a source with the authorization code grant. Raises InvalidInput for other grants."""
    client = source.auth.oauth
    if client is None or client.grant is not GrantType.AUTHORIZATION_CODE or not client.authorization_url:
        raise InvalidInput("auth.grantType", _("This source signs in by itself and needs no connection."))
    return client


def _not_connected(sentence: str) -> Problem:
    """The problem of a source to which no person has given access yet."""
    return Problem(Reason.AUTHENTICATION_EXPIRED, sentence, auth_status=AuthStatus.MISSING)


def _require_unexpired(tokens: Tokens) -> Tokens:
    """Raises ProviderUnavailable for tokens that have expired already."""
    if tokens.life is not None and tokens.life <= 0:
        message = _("The provider issued an expired token: compare its clock with the clock of this server.")
        raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, message, field="")
    return tokens


def _pause(deadline: Deadline) -> None:
    time.sleep(min(POLL_S, deadline.remaining()))
