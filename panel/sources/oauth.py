"""OAuth 2.0 for sources: gets tokens, keeps them sealed, renews them once for everybody, and never shows one.

Token calls leave through the connector's door like every other byte; Authlib speaks the protocol, not HTTP.
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
from panel.core.reasons import Reason
from panel.credentials.vault import Unreadable, Vault
from panel.logs.audit import Actor
from panel.sources.oauth_responses import Refusal, Tokens, read_tokens
from panel.sources.oauth_store import Attempts, Grant, Grants

LEASE_MARGIN_S = 1.0
"""A lease outlives the call that it is for, so that its holder has time to store the answer."""
POLL_S = 0.03
EXCHANGE_DEADLINE_S = 10.0

log = logging.getLogger(__name__)


class ConnectFailed(PanelError):
    """A visit to the provider did not end in a grant; nothing was stored."""


class Oauth:
    """The connector's ``OauthSigner``, and the way to the provider's consent page and back."""

    def __init__(self, engine: Engine, vault: Vault, connector: Connector) -> None:
        self._grants = Grants(engine, vault)
        self._attempts = Attempts(engine, vault)
        self._connector = connector
        self._turns: dict[str, threading.Lock] = {}

    # --- signing -------------------------------------------------------------------------------------------------

    def header(self, source: SourceConfig, deadline: Deadline, caller: Caller) -> str:
        client = _client(source)
        if not client.origins:
            return f"Bearer {self._unkept(source, client, deadline, caller).access}"
        grant = self._read(source, client)
        if grant is None or not grant.is_fresh:
            grant = self._renewed(source, client, deadline, caller)
        return f"Bearer {grant.access}"

    def refused(self, source: SourceConfig, header: str) -> None:
        client = _client(source)
        grant = self._read(source, client) if client.origins else None
        if grant is not None and header == f"Bearer {grant.access}":
            self._grants.forget_access(source.id, grant.version)

    def refusal(self, source: SourceConfig, problem: Problem) -> Problem:
        if _client(source).grant is GrantType.AUTHORIZATION_CODE:
            return Problem(Reason.AUTHENTICATION_EXPIRED, f"{problem.message} The authorisation may have been revoked.")
        return problem

    def _read(self, source: SourceConfig, client: OauthClient) -> Grant | None:
        try:
            return self._grants.read(source)
        except Unreadable as exc:
            if client.grant is GrantType.CLIENT_CREDENTIALS:
                return None
            message = f'The stored authorisation of OpenConnector source "{source.slug}" cannot be read.'
            raise ProviderUnavailable.because(Reason.SOURCE_UNREADABLE, message) from exc

    def _unkept(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Tokens:
        """A token for settings that are only being tested."""
        if client.grant is GrantType.AUTHORIZATION_CODE:
            raise ProviderUnavailable(_never_given("Save these settings and connect them; only then can they be used."))
        return _alive(self._ask_anew(source, client, deadline, caller))

    # --- renewing ------------------------------------------------------------------------------------------------

    def _renewed(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Grant:
        """A fresh grant, renewed by one of all who need it: a lock in this process, a lease over all of them."""
        try:
            with self._turn(source.id, deadline):
                return self._renewed_in_turn(source, client, deadline, caller)
        except DeadlinePassed:
            grant = self._read(source, client)
            if grant is not None and grant.is_alive:
                return grant
            message = f"The sign-in of source {source.slug!r} is being renewed and was not ready in time."
            raise ProviderUnavailable.because(Reason.BUSY, message, retry_after=1.0) from None

    def _renewed_in_turn(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Grant:
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
                found = self._renew(source, client, holder, deadline, caller)
            finally:
                self._grants.release(source.id, holder)
            if found is not None:
                return found

    def _require_renewable(self, source: SourceConfig, client: OauthClient, grant: Grant | None) -> None:
        """Raises ProviderUnavailable when only a person can mend it."""
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            if grant is None:
                self._grants.prepare(source.id)
            return
        if grant is None or grant.state is AuthStatus.MISSING:
            raise ProviderUnavailable(_never_given("The source is not connected yet: nobody has given it access."))
        if grant.state is AuthStatus.EXPIRED:
            raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, grant.detail)
        if not grant.refresh:
            detail = "The authorisation has ended, and the provider gave no refresh token. Connect again."
            self._grants.expire(source.id, grant.version, detail)
            raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, detail)

    def _renew(
        self, source: SourceConfig, client: OauthClient, holder: str, deadline: Deadline, caller: Caller
    ) -> Grant | None:
        """Renew as the holder of the lease; None when the lease was lost meanwhile, and what came is thrown away.

        What came is committed before anybody uses it: a provider may end the old refresh token at the first use.
        """
        grant = self._read(source, client)
        if grant is not None and grant.is_fresh:
            return grant
        # Another process may have marked the grant as ended between the last check and the lease.
        self._require_renewable(source, client, grant)
        try:
            tokens = self._ask_again(source, client, grant, deadline, caller)
        except ProviderUnavailable as exc:
            if exc.reason.facts.temporary and grant is not None and grant.is_alive:
                log.warning("Source %s keeps its old token for now: %s", source.slug, exc.reason.value)
                return grant
            raise
        if not self._grants.renew(source, tokens, holder):
            return None
        return Grant(AuthStatus.CONFIGURED, "", 0, None, _alive(tokens).access)

    def _ask_again(
        self, source: SourceConfig, client: OauthClient, grant: Grant | None, deadline: Deadline, caller: Caller
    ) -> Tokens:
        if client.grant is GrantType.CLIENT_CREDENTIALS:
            return self._ask_anew(source, client, deadline, caller)
        assert grant is not None  # noqa: S101  (checked by _require_renewable)
        # https://www.rfc-editor.org/rfc/rfc6749#section-6
        form = prepare_token_request("refresh_token", refresh_token=grant.refresh)
        found = self._ask("refresh_token", form, source, client, deadline, caller)
        if isinstance(found, Refusal):
            if found.is_final:
                self._grants.expire(source.id, grant.version, found.problem.message)
            raise ProviderUnavailable(found.problem)
        return Tokens(found.access, found.refresh or grant.refresh, found.life)

    def _ask_anew(self, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller) -> Tokens:
        """https://www.rfc-editor.org/rfc/rfc6749#section-4.4"""
        form = prepare_token_request("client_credentials", scope=client.scope)
        found = self._ask("client_credentials", form, source, client, deadline, caller)
        if isinstance(found, Refusal):
            raise ProviderUnavailable(found.problem)
        # A refresh token is not foreseen for this grant; the client secret does all that it could do.
        return Tokens(found.access, "", found.life)

    def _ask(
        self, asked: str, form: str, source: SourceConfig, client: OauthClient, deadline: Deadline, caller: Caller
    ) -> Tokens | Refusal:
        secret = source.auth.secret
        pair = (client.client_id, secret.reveal() if secret is not None else "")
        try:
            answer = self._connector.post_form(client.token_url, form, source, caller, deadline, basic=pair)
            return read_tokens(answer, asked)
        except ProviderUnavailable as exc:
            if exc.problem.setting == "location":
                # The call went to the provider, whose address is a setting of its own.
                exc.problem = replace(exc.problem, field="auth.tokenUrl")
            raise

    @contextmanager
    def _turn(self, source_id: str, deadline: Deadline) -> Iterator[None]:
        lock = self._turns.setdefault(source_id, threading.Lock())
        if not lock.acquire(timeout=deadline.remaining()):
            raise DeadlinePassed
        try:
            yield
        finally:
            lock.release()

    # --- connecting ----------------------------------------------------------------------------------------------

    def begin(self, source: SourceConfig, *, user_id: int, browser: str, redirect_uri: str) -> str:
        """The provider's consent page for this visit, https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1.

        ``browser`` is known to the visitor's session only; the visit can be ended by that session alone.
        """
        client = _consenting(source)
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
        """Exchange the code of a visit for a grant and store it. A visit is used up by this, however it ends.

        ``config_of`` gives a source by its id. Raises ConnectFailed and ProviderUnavailable; then nothing is stored.
        """
        attempt = self._attempts.take(visit.only("state"), visit.browser)
        if attempt is None or attempt.user_id != visit.user_id:
            raise ConnectFailed("This answer belongs to no connection that you have begun in this browser.")
        if attempt.is_late:
            raise ConnectFailed("This took longer than ten minutes. Connect again.")
        source = config_of(attempt.source_id)
        client = _consenting(source)
        _check_issuer(visit, client)
        _check_consent(visit)
        try:
            verifier = self._attempts.verifier(attempt, source)
        except Unreadable:
            raise ConnectFailed("The source was changed meanwhile. Connect again.") from None
        tokens = self._exchanged(visit, verifier, source, client, caller)
        if not self._grants.replace(source, tokens, by=by):
            raise ConnectFailed("The source was deleted meanwhile.")
        return source

    def _exchanged(
        self, visit: ConsentVisit, verifier: str, source: SourceConfig, client: OauthClient, caller: Caller
    ) -> Tokens:
        """https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3 with https://www.rfc-editor.org/rfc/rfc7636#section-4.5"""
        form = prepare_token_request(
            "authorization_code", redirect_uri=visit.redirect_uri, code=visit.only("code"), code_verifier=verifier
        )
        deadline = Deadline(source.timeout_s or EXCHANGE_DEADLINE_S)
        found = self._ask("authorization_code", form, source, client, deadline, caller)
        if isinstance(found, Refusal):
            raise ProviderUnavailable(found.problem)
        return _alive(found)


@dataclass(frozen=True, slots=True)
class ConsentVisit:
    """Somebody comes back from the provider. ``browser`` is what only the session knows in which the visit began."""

    params: Mapping[str, Sequence[str]] = field(repr=False)
    user_id: int
    browser: str = field(repr=False)
    redirect_uri: str

    def only(self, name: str) -> str:
        """The value of a parameter, empty when it is missing. Raises ConnectFailed when it is given twice."""
        values = self.params.get(name, ())
        if len(values) > 1:
            raise ConnectFailed("The answer of the provider is not one that can be understood.")
        return values[0] if values else ""


def _check_issuer(visit: ConsentVisit, client: OauthClient) -> None:
    """Who answers must be who was asked, where the provider says who it is: https://www.rfc-editor.org/rfc/rfc9207."""
    issuer = visit.only("iss")
    if not issuer and "iss" not in visit.params:
        return
    asked = urlsplit(client.authorization_url)
    try:
        same = origin_of(issuer) == origin_of(client.authorization_url)
    except ValueError:
        same = False
    path = urlsplit(issuer).path.rstrip("/") if same else ""
    if not same or not asked.path.startswith(f"{path}/"):
        raise ConnectFailed("The answer comes from another provider than the one that was asked.")


def _check_consent(visit: ConsentVisit) -> None:
    error = visit.only("error")
    if error == "access_denied":
        raise ConnectFailed("Access was not given: it was declined at the provider.")
    if error == "invalid_scope":
        raise ConnectFailed("The provider does not give this client the scope that the source asks for.")
    if error:
        raise ConnectFailed("The provider refused the request. Look at client id, scope and grant.")
    if not visit.only("code"):
        raise ConnectFailed("The answer of the provider holds no code.")


def consent_origin(authorization_url: str) -> str:
    """Scheme and host of a consent page, in the spelling that headers may carry."""
    return parse_endpoint(authorization_url.partition("?")[0]).origin


def _client(source: SourceConfig) -> OauthClient:
    if source.auth.oauth is None:
        message = f"Source {source.slug!r} has no settings for OAuth 2.0."
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="auth")
    return source.auth.oauth


def _consenting(source: SourceConfig) -> OauthClient:
    """The client of a source that a person connects. Raises InvalidInput for any other."""
    client = source.auth.oauth
    if client is None or client.grant is not GrantType.AUTHORIZATION_CODE or not client.authorization_url:
        raise InvalidInput("auth.grantType", "This source needs nobody to connect it.")
    return client


def _never_given(sentence: str) -> Problem:
    return Problem(Reason.AUTHENTICATION_EXPIRED, sentence, auth_status=AuthStatus.MISSING)


def _alive(tokens: Tokens) -> Tokens:
    if tokens.life is not None and tokens.life <= 0:
        message = "The provider gave out a token that has ended already: compare its clock with the one of this server."
        raise ProviderUnavailable.because(Reason.AUTHENTICATION_EXPIRED, message, field="")
    return tokens


def _pause(deadline: Deadline) -> None:
    time.sleep(min(POLL_S, deadline.remaining()))
