"""The texts for people about failures: one row for each reason.

A reason without a row stops the start. How the panel handles a reason is in ``panel/core/reasons.py``. The texts may
contain ``{upstream}``, ``{nouns}`` (the items of the integration), ``{message}`` (of the problem) and ``{setting}``
(the wrong one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from panel.core.domain import Problem
from panel.core.health import AuthStatus
from panel.core.messages import Message, _
from panel.core.reasons import Reason, require_rows

_NO_TEXT = Message("", {})
_NOT_REACHED = _("not reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The texts for one reason."""

    title: Message
    """Title of the notice in the tab."""
    text: Message
    """Text of the notice in the tab and of the failed step of Test connection."""
    others: Message = _NO_TEXT
    """Text of the notice for users who are not administrators; "" if it is the same."""
    short: Message
    """Line below the health of the integration on the overview."""
    sign_in: Message = _NOT_REACHED
    """Line below the sign-in of the integration on the overview."""
    remedy: Message
    """The remedy, for an administrator."""
    button: Message = _NO_TEXT
    """Button of Test connection, with ``{secret}`` for the name of the secret; "" for “Change” and the setting."""
    untested: Message = _NO_TEXT
    """Headline of a test that sent no call."""


_NOT_CONFIGURED = _("{upstream} connection not configured")
_ASK = _("Ask your administrator to connect {upstream}, and send this reference along:")
_AUTH_FAILED = _("{upstream} authentication failed")
_EXPIRED = _("Authorisation for {upstream} expired")
_THE_UPSTREAM = _("the upstream")
_DOWN = _("{upstream} is currently unavailable")

WORDS: Mapping[Reason, Words] = {
    Reason.CONNECTOR_DISABLED: Words(
        title=_("Linking is switched off"),
        text=_("Outgoing calls are switched off."),
        short=_("outgoing calls are switched off"),
        remedy=_("Turn the connector on."),
        untested=_("Not tested: the connector is off"),
    ),
    Reason.SOURCE_MISSING: Words(
        title=_NOT_CONFIGURED,
        text=_(
            "Enter the address and account of your {upstream} once. After that, {nouns} can be linked and created here."
        ),
        others=_ASK,
        short=_("no source"),
        sign_in=_("no source"),
        remedy=_("Add the source."),
    ),
    Reason.SOURCE_DISABLED: Words(
        title=_NOT_CONFIGURED,
        text=_("The source is switched off."),
        others=_ASK,
        short=_("the source is switched off"),
        remedy=_("Enable the source."),
    ),
    Reason.SOURCE_UNREADABLE: Words(
        title=_NOT_CONFIGURED,
        text=_("The stored password cannot be read; type it again."),
        others=_ASK,
        short=_("the stored password cannot be read"),
        sign_in=_("not readable"),
        remedy=_("Enter the secret again, or restore the lost key."),
        button=_("Enter the {secret} again"),
        untested=_("Not tested: the stored secret cannot be read"),
    ),
    Reason.SOURCE_INVALID: Words(
        title=_NOT_CONFIGURED,
        text=_("{message}"),
        others=_ASK,
        short=_("a setting is not valid"),
        remedy=_("Correct {setting}."),
    ),
    Reason.CREDENTIALS_REJECTED: Words(
        title=_AUTH_FAILED,
        text=_("{upstream} does not accept the account of this source."),
        short=_("sign-in refused"),
        sign_in=_("refused"),
        remedy=_("Check {setting}, and whether the account is active in {upstream}."),
        button=_("Enter the {secret} again"),
    ),
    Reason.AUTHENTICATION_EXPIRED: Words(
        title=_EXPIRED,
        text=_("Reconnect to see titles and status again."),
        short=_("sign-in expired"),
        sign_in=_("expired"),
        remedy=_("Reconnect the source."),
        button=_("Connect again"),
    ),
    Reason.FORBIDDEN: Words(
        title=_AUTH_FAILED,
        text=_("{upstream} accepts the account, but does not let it read this."),
        short=_("reading refused"),
        sign_in=_("refused"),
        remedy=_("Give the account of the source the right to read in {upstream}, or change {setting}."),
    ),
    Reason.DNS: Words(
        title=_DOWN,
        text=_("Its host name cannot be resolved."),
        short=_("host name not found"),
        remedy=_("Check the host name in {setting}."),
    ),
    Reason.ADDRESS_NOT_ALLOWED: Words(
        title=_DOWN,
        text=_("The panel is not allowed to call its address."),
        short=_("address not allowed"),
        remedy=_("Allow the address with PANEL_ALLOWED_PRIVATE_HOSTS, or change {setting}."),
    ),
    Reason.CONNECT: Words(
        title=_DOWN,
        text=_("The connection to {upstream} failed."),
        short=_("connection failed"),
        remedy=_("Check {setting}, that {upstream} is running, and that no firewall blocks its port."),
    ),
    Reason.TLS: Words(
        title=_DOWN,
        text=_("The panel does not trust the TLS connection to {upstream}."),
        short=_("TLS failed"),
        remedy=_("Check the certificate of {upstream}. If its authority is your own, set {setting}."),
    ),
    Reason.TIMEOUT: Words(
        title=_DOWN,
        text=_("{upstream} did not answer in time."),
        short=_("no answer in time"),
        remedy=_("Check the location and why {upstream} is slow, or raise {setting}."),
    ),
    Reason.BUSY: Words(
        title=_DOWN,
        text=_("Too many calls to {upstream} are waiting."),
        short=_("too many calls waiting"),
        remedy=_("No action is needed. If it happens often, raise {setting}."),
    ),
    Reason.CIRCUIT_OPEN: Words(
        title=_DOWN,
        text=_("Calls to {upstream} failed several times in a row and are paused."),
        short=_("paused after failures"),
        remedy=_("No action is needed: a call is tried again within seconds. Earlier failures show the cause."),
    ),
    Reason.RATE_LIMITED: Words(
        title=_DOWN,
        text=_("{upstream} is rate limiting us."),
        short=_("rate limited"),
        remedy=_("No action is needed: calls go out again later. If it happens often, adjust {setting}."),
    ),
    Reason.SERVER_ERROR: Words(
        title=_DOWN,
        text=_("{upstream} answered with a server error."),
        short=_("server error"),
        remedy=_("Check the log of {upstream}."),
    ),
    Reason.UNEXPECTED_RESPONSE: Words(
        title=_DOWN,
        text=_("The answer is not one of {upstream}."),
        short=_("unexpected answer"),
        remedy=_("Check that {setting} leads to {upstream} itself, and that no login page or proxy answers instead."),
    ),
    Reason.UNEXPECTED_REDIRECT: Words(
        title=_DOWN,
        text=_("{upstream} redirects to another address."),
        short=_("redirects elsewhere"),
        remedy=_("Set {setting} to the address that {upstream} redirects to."),
    ),
    Reason.TOO_LARGE: Words(
        title=_DOWN,
        text=_("The answer of {upstream} is too large."),
        short=_("answer too large"),
        remedy=_("Check why {upstream} answers with that much data."),
    ),
}
require_rows(WORDS, "WORDS of panel/web/reason_words.py")

_NOT_CONNECTED = Words(
    title=_("{upstream} is not connected yet"),
    text=_("An administrator has to give this source access once."),
    short=_("not connected yet"),
    remedy=_("Connect the source."),
    button=_("Connect"),
)
"""For a source that was never connected: its reason is an expired authorisation, its auth status is missing."""

_SETTINGS = {
    "": _("the setting that is not valid"),
    "enabled": _("the switch “Enabled”"),
    "location": _("the location"),
    "auth": _("the sign-in"),
    "auth.clientId": _("client id and client secret"),
    "auth.scope": _("the scope"),
    "auth.tokenUrl": _("the token address"),
    "connect": _("the authorisation"),
    "headers": _("the extra headers"),
    "rate_limit": _("the rate limit"),
    "max_concurrency": _("“Requests at once”"),
    "timeout_s": _("the timeout"),
    "ca_file": _("the CA file"),
    "connect_to": _("“Connect to”"),
}


def words_of(problem: Problem) -> Words:
    return _NOT_CONNECTED if problem.auth_status is AuthStatus.MISSING else WORDS[problem.reason]


def remedy_of(problem: Problem, upstream: str = _THE_UPSTREAM) -> Message:
    """The remedy in one or two sentences."""
    return words_of(problem).remedy.filled(upstream=upstream, setting=setting_name(problem.setting))


def setting_name(setting: str) -> Message:
    """A setting of a source inside a sentence: ``the CA file``, ``the option “wiki”``."""
    head, _dot, option = setting.partition(".")
    if head == "options" and option:
        return _("the option “{name}”", name=option)
    return _SETTINGS.get(setting) or _SETTINGS.get(head) or _("“{name}”", name=setting)
