"""Answers that something in front of an upstream sent, such as a firewall, a sign-in page or a proxy.

One table for all leaves and all calls. Which answers are the upstream's own, the leaf decides: ``Integration.lacks``.
"""

from __future__ import annotations

from collections.abc import Mapping

from panel.connector import Answer
from panel.core.domain import Problem
from panel.core.messages import Message, _
from panel.core.reasons import Reason

_REFUSALS: Mapping[int, Message] = {
    401: _(
        "{where} answered {status} without {lacking}: something in front of {upstream} asks for a sign-in of its own."
    ),
    403: _(
        "{where} answered {status} without {lacking}: "
        "something in front of {upstream}, such as a firewall, refuses the call."
    ),
    404: _(
        "{where} answered {status} without {lacking}: "
        "{upstream} is not at this address, or something in front of it answered."
    ),
}
"""Explanations by status. Every status that is not here means the same whoever sends it."""

_PAGE = _(
    "{where} answered {status} without {lacking}: "
    "something in front of {upstream} shows a page instead, most often to sign in."
)
_OTHER = _("{where} answered {status} without {lacking}: something else answers in place of {upstream}.")
_CHALLENGE = _(
    "{where} answered {status} without {lacking}: Cloudflare in front of {upstream} lets only browsers through."
)
_CHALLENGE_HEADER = "cf-mitigated"
"""https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/"""


def problem_in_front(answer: Answer, upstream: str, lacking: str) -> Problem | None:
    """The problem of an answer that lacks ``lacking``, a mark of every answer of ``upstream``.

    None for a status that means the same whoever sends it: a redirect, a rate limit, a server error.
    """
    if 200 <= answer.status < 300:
        what = _PAGE if answer.media_type == "text/html" else _OTHER
    elif answer.status in _REFUSALS:
        what = _REFUSALS[answer.status]
    else:
        return None
    if _CHALLENGE_HEADER in answer.headers:
        what = _CHALLENGE
    message = what.filled(where=answer.where, status=answer.status, lacking=lacking, upstream=upstream)
    return Problem(Reason.UNEXPECTED_RESPONSE, message)
