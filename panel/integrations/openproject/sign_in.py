"""The account behind a credential at OpenProject, and why a credential is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from panel.connector import Answer, Auth, AuthKind, SourceConfig, Upstream, unexpected
from panel.core.domain import Identity, Problem
from panel.core.errors import Forbidden, NotFound, ProviderUnavailable, Rejected
from panel.core.messages import _, sentences
from panel.core.reasons import Reason
from panel.integrations.openproject.answer import ask, error_of
from panel.integrations.openproject.item import plain
from panel.integrations.openproject.reference import API

ACCOUNT_LIVES_S = 60

_KEY_USER = "apikey"
_KEY_PREFIX = "opapi-"
"""How API keys begin from version 17.2 on."""
_BAD_NAME = b"Invalid host_name configuration"
"""https://www.openproject.org/docs/installation-and-operations/configuration/#additional-host-names"""

_NOT_A_LOGIN = _("OpenProject takes no login name here: the user name is the word apikey, and the password an API key.")
_UNKNOWN_KEY = _("OpenProject does not know this API key, or its account is locked.")
_LOCKED = _("OpenProject refuses this API key, because its account is locked.")
_KEY_AS_PASSWORD = _(
    "This OpenProject is older than 17.2 and takes an API key only as a password, with the user name apikey."
)
_UNKNOWN_TOKEN = _(
    "OpenProject does not know this token. An API key sent as a token begins with opapi-; an older key is the password "
    "of the user name apikey."
)
_OTHER_HEADER = _("OpenProject reads a token in the header Authorization only.")
_NO_ACCOUNT = _("OpenProject requires an account, and this source signs in with none.")
_ENDED_TOKEN = _("OpenProject does not accept the access token.")
_NOBODY = _("OpenProject answers as to everybody: no account stands behind the credential.")
_NO_USER = sentences(_NOBODY, _("Choose a user for client credentials in the OAuth application of OpenProject."))


def classify(answer: Answer, source: SourceConfig) -> Problem | None:
    """See ``Integration.classify``."""
    if answer.status == 403 and error_of(answer) == "Unauthenticated":
        # A token without the scope ``api_v3`` is refused with the identifier of a 401.
        return Problem(
            Reason.FORBIDDEN, _("{where} answered 403: the token lacks the scope api_v3.", where=answer.where)
        )
    if answer.status == 401 and error_of(answer) and not _is_root(answer, source):
        sentence = _refusal(source, answer.headers.get("www-authenticate", ""))
        return Problem(Reason.CREDENTIALS_REJECTED, sentence)
    if answer.status == 400 and answer.body.startswith(_BAD_NAME):
        return _other_name(source)
    return None


def _is_root(answer: Answer, source: SourceConfig) -> bool:
    """Whether it is the root of the API, whose 401 proves that this is OpenProject."""
    return answer.where == f"GET {urlsplit(source.root).path}/{'/'.join(API)}"


def _refusal(source: SourceConfig, challenge: str) -> str:
    """Which near miss a 401 is: https://www.openproject.org/docs/api/introduction/#authentication."""
    auth = source.auth
    if auth.kind is AuthKind.NONE:
        return _NO_ACCOUNT
    if auth.kind is AuthKind.OAUTH2:
        return _ENDED_TOKEN
    if "account is locked" in challenge:
        return _LOCKED
    if auth.kind is AuthKind.BASIC:
        return _UNKNOWN_KEY if auth.username == _KEY_USER else _NOT_A_LOGIN
    return _refusal_of_token(auth, challenge)


def _refusal_of_token(auth: Auth, challenge: str) -> str:
    if auth.header.lower() != "authorization":
        return _OTHER_HEADER
    if auth.secret is None or not auth.secret.begins_with(_KEY_PREFIX):
        return _UNKNOWN_TOKEN
    # Servers that accept keys as tokens say in each challenge where their metadata is.
    return _UNKNOWN_KEY if "resource_metadata=" in challenge else _KEY_AS_PASSWORD


def _other_name(source: SourceConfig) -> Problem:
    host = source.endpoint.host
    message = _(
        "OpenProject answers only under its own host name, and {host} is another one. Give its own name as location, "
        "with connect_to if the panel has to reach it elsewhere, or add {host} to its additional_host_names.",
        host=host,
    )
    return Problem(Reason.UNEXPECTED_RESPONSE, message, field="location")


def account(upstream: Upstream) -> Identity:
    """The account of the source: https://www.openproject.org/docs/api/endpoints/users/#view-user.

    The API root proves nothing: a public instance serves it for any credential. Raises ProviderUnavailable, also when
    the source signs in and OpenProject answers as to everybody.
    """
    answer = ask(upstream, "users", "me")
    body = answer.object()
    if not isinstance(body.get("id"), int):
        raise unexpected(_("{where} answered without a user.", where=answer.where))
    if body.get("login") == "":
        return _nobody(upstream.source)
    return Identity(plain(body.get("name")) or plain(body.get("login")) or None, None)


def _nobody(source: SourceConfig) -> Identity:
    """No account: expected without sign-in on a public instance, else the credential stands for nobody."""
    if not source.signs_in:
        return Identity(None, None)
    message = _NO_USER if source.auth.kind is AuthKind.OAUTH2 else _NOBODY
    raise ProviderUnavailable.because(Reason.CREDENTIALS_REJECTED, message)


def require_account(upstream: Upstream) -> None:
    """Raise ProviderUnavailable when no account stands behind a token. Asks at most once a minute.

    Before that is known, "not there" and "not allowed" say nothing about the source's account. A key that is sent as a
    password has an account: OpenProject refuses any other with 401, also where everybody may read.
    """
    if upstream.source.auth.kind in (AuthKind.TOKEN, AuthKind.OAUTH2):
        upstream.remember("account", ACCOUNT_LIVES_S, lambda: account(upstream))


@contextmanager
def as_account(upstream: Upstream) -> Iterator[None]:
    """Let a refusal or a missing item pass only when it was said to an account."""
    try:
        yield
    except (NotFound, Forbidden, Rejected) as exc:
        # Any other field was refused by a form that is shown to accounts only.
        if not isinstance(exc, Rejected) or "projectId" in exc.fields:
            require_account(upstream)
        raise
