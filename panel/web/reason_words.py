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
from panel.core.reasons import Reason, require_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The texts for one reason."""

    title: str
    """Title of the notice in the tab."""
    text: str
    """Text of the notice in the tab and of the failed step of Test connection."""
    others: str = ""
    """Text of the notice for users who are not administrators; "" if it is the same."""
    short: str
    """Line below the health of the integration on the overview."""
    sign_in: str = "not reached"
    """Line below the sign-in of the integration on the overview."""
    remedy: str
    """The remedy, for an administrator."""
    button: str = ""
    """Button of Test connection, with ``{secret}`` for the name of the secret; "" for “Change” and the setting."""
    untested: str = ""
    """Headline of a test that sent no call."""


_NOT_CONFIGURED = "{upstream} connection not configured"
_ASK = "Ask your administrator to connect {upstream}, and send this reference along:"
_AUTH_FAILED = "{upstream} authentication failed"
_EXPIRED = "Authorisation for {upstream} expired"
_DOWN = "{upstream} is currently unavailable"

WORDS: Mapping[Reason, Words] = {
    Reason.CONNECTOR_DISABLED: Words(
        title="Linking is switched off",
        text="Outgoing calls are switched off.",
        short="outgoing calls are switched off",
        remedy="Turn the connector on.",
        untested="Not tested: the connector is off",
    ),
    Reason.SOURCE_MISSING: Words(
        title=_NOT_CONFIGURED,
        text="Enter the address and account of your {upstream} once. "
        "After that, {nouns} can be linked and created here.",
        others=_ASK,
        short="no source",
        sign_in="no source",
        remedy="Add the source.",
    ),
    Reason.SOURCE_DISABLED: Words(
        title=_NOT_CONFIGURED,
        text="The source is switched off.",
        others=_ASK,
        short="the source is switched off",
        remedy="Enable the source.",
    ),
    Reason.SOURCE_UNREADABLE: Words(
        title=_NOT_CONFIGURED,
        text="The stored password cannot be read; type it again.",
        others=_ASK,
        short="the stored password cannot be read",
        sign_in="not readable",
        remedy="Enter the secret again, or restore the lost key.",
        button="Enter the {secret} again",
        untested="Not tested: the stored secret cannot be read",
    ),
    Reason.SOURCE_INVALID: Words(
        title=_NOT_CONFIGURED,
        text="{message}",
        others=_ASK,
        short="a setting is not valid",
        remedy="Correct {setting}.",
    ),
    Reason.CREDENTIALS_REJECTED: Words(
        title=_AUTH_FAILED,
        text="{upstream} does not accept the account of this source.",
        short="sign-in refused",
        sign_in="refused",
        remedy="Check {setting}, and whether the account is active in {upstream}.",
        button="Enter the {secret} again",
    ),
    Reason.AUTHENTICATION_EXPIRED: Words(
        title=_EXPIRED,
        text="Reconnect to see titles and status again.",
        short="sign-in expired",
        sign_in="expired",
        remedy="Reconnect the source.",
        button="Connect again",
    ),
    Reason.FORBIDDEN: Words(
        title=_AUTH_FAILED,
        text="{upstream} accepts the account, but does not let it read this.",
        short="reading refused",
        sign_in="refused",
        remedy="Give the account of the source the right to read in {upstream}, or change {setting}.",
    ),
    Reason.DNS: Words(
        title=_DOWN,
        text="Its host name cannot be resolved.",
        short="host name not found",
        remedy="Check the host name in {setting}.",
    ),
    Reason.ADDRESS_NOT_ALLOWED: Words(
        title=_DOWN,
        text="The panel is not allowed to call its address.",
        short="address not allowed",
        remedy="Allow the address with PANEL_ALLOWED_PRIVATE_HOSTS, or change {setting}.",
    ),
    Reason.CONNECT: Words(
        title=_DOWN,
        text="The connection to {upstream} failed.",
        short="connection failed",
        remedy="Check {setting}, that {upstream} is running, and that no firewall blocks its port.",
    ),
    Reason.TLS: Words(
        title=_DOWN,
        text="The panel does not trust the TLS connection to {upstream}.",
        short="TLS failed",
        remedy="Check the certificate of {upstream}. If its authority is your own, set {setting}.",
    ),
    Reason.TIMEOUT: Words(
        title=_DOWN,
        text="{upstream} did not answer in time.",
        short="no answer in time",
        remedy="Check the location and why {upstream} is slow, or raise {setting}.",
    ),
    Reason.BUSY: Words(
        title=_DOWN,
        text="Too many calls to {upstream} are waiting.",
        short="too many calls waiting",
        remedy="No action is needed. If it happens often, raise {setting}.",
    ),
    Reason.CIRCUIT_OPEN: Words(
        title=_DOWN,
        text="Calls to {upstream} failed several times in a row and are paused.",
        short="paused after failures",
        remedy="No action is needed: a call is tried again within seconds. Earlier failures show the cause.",
    ),
    Reason.RATE_LIMITED: Words(
        title=_DOWN,
        text="{upstream} is rate limiting us.",
        short="rate limited",
        remedy="No action is needed: calls go out again later. If it happens often, adjust {setting}.",
    ),
    Reason.SERVER_ERROR: Words(
        title=_DOWN,
        text="{upstream} answered with a server error.",
        short="server error",
        remedy="Check the log of {upstream}.",
    ),
    Reason.UNEXPECTED_RESPONSE: Words(
        title=_DOWN,
        text="The answer is not one of {upstream}.",
        short="unexpected answer",
        remedy="Check that {setting} leads to {upstream} itself, and that no login page or proxy answers instead.",
    ),
    Reason.UNEXPECTED_REDIRECT: Words(
        title=_DOWN,
        text="{upstream} redirects to another address.",
        short="redirects elsewhere",
        remedy="Set {setting} to the address that {upstream} redirects to.",
    ),
    Reason.TOO_LARGE: Words(
        title=_DOWN,
        text="The answer of {upstream} is too large.",
        short="answer too large",
        remedy="Check why {upstream} answers with that much data.",
    ),
}
require_rows(WORDS, "WORDS of panel/web/reason_words.py")

_NOT_CONNECTED = Words(
    title="{upstream} is not connected yet",
    text="An administrator has to give this source access once.",
    short="not connected yet",
    remedy="Connect the source.",
    button="Connect",
)
"""For a source that was never connected: its reason is an expired authorisation, its auth status is missing."""

_SETTINGS = {
    "": "the setting that is not valid",
    "enabled": "the switch “Enabled”",
    "location": "the location",
    "auth": "the sign-in",
    "auth.clientId": "client id and client secret",
    "auth.scope": "the scope",
    "auth.tokenUrl": "the token address",
    "connect": "the authorisation",
    "headers": "the extra headers",
    "rate_limit": "the rate limit",
    "max_concurrency": "“Requests at once”",
    "timeout_s": "the timeout",
    "ca_file": "the CA file",
    "connect_to": "“Connect to”",
}


def words_of(problem: Problem) -> Words:
    return _NOT_CONNECTED if problem.auth_status is AuthStatus.MISSING else WORDS[problem.reason]


def remedy_of(problem: Problem, upstream: str = "the upstream") -> str:
    """The remedy in one or two sentences."""
    return words_of(problem).remedy.format(upstream=upstream, setting=setting_name(problem.setting))


def setting_name(setting: str) -> str:
    """A setting of a source inside a sentence: ``the CA file``, ``the option “wiki”``."""
    head, _, option = setting.partition(".")
    if head == "options" and option:
        return f"the option “{option}”"
    return _SETTINGS.get(setting) or _SETTINGS.get(head) or f"“{setting}”"
