"""The notice for a source that cannot be used, in the tab, on the overview and in Test connection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from panel.core.domain import Problem
from panel.core.messages import Message, _, sentences
from panel.core.reasons import Cause
from panel.integrations.contract import Integration
from panel.web.reason_words import words_of


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. ``severity`` is neutral, amber or red; ``action`` is the button for this user."""

    severity: str
    icon: str
    title: Message
    text: Message
    action: str
    """``configure``, ``reconnect``, ``retry``, ``turn-on`` or ``ask``."""
    message: str
    """The message of the problem, in English in every language, for Technical details."""
    code: str
    """``cause / reason``, for Technical details."""
    anchor: str
    """The anchor of the setting to change on the page of the source, or ""."""
    next_try_s: int = 0
    """In how many seconds the panel calls the upstream again; 0 where nothing is known."""


@dataclass(frozen=True, slots=True)
class _Style:
    severity: str
    icon: str
    admin_action: str
    action: str = "ask"
    keeps_links: bool = True
    """Whether the text says that the links are kept."""


_STYLES: Mapping[Cause, _Style] = {
    Cause.CONNECTOR_DOWN: _Style("neutral", "plug", "turn-on"),
    Cause.SOURCE_MISSING: _Style("neutral", "plug", "configure", keeps_links=False),
    Cause.PROVIDER_AUTH: _Style("amber", "key", "reconnect"),
    Cause.UPSTREAM_DOWN: _Style("red", "exclamation", "retry", "retry"),
}


def notice(problem: Problem, leaf: Integration, *, admin: bool, links: int) -> Notice:
    """The notice for a problem, for an administrator or another user. ``links`` is the number of pointers."""
    style, words = _STYLES[problem.cause], words_of(problem)
    upstream, nouns = leaf.descriptor.upstream, leaf.descriptor.noun_plural
    text = (words.text if admin else words.others or words.text).filled(
        upstream=upstream, nouns=nouns, message=problem.message
    )
    links_kept = _("The links are kept.") if links and style.keeps_links else ""
    return Notice(
        style.severity,
        style.icon,
        words.title.filled(upstream=upstream),
        sentences(text, _next_try(problem), links_kept),
        style.admin_action if admin else style.action,
        str(problem.message),
        f"{problem.cause.value} / {problem.reason.value}",
        _anchor(problem.setting),
        _next_try_s(problem),
    )


def _anchor(setting: str) -> str:
    """The anchor of a setting. Settings of the sign-in share one, because their fields depend on its kind."""
    return "auth" if setting.startswith("auth.") else setting


def _next_try(problem: Problem) -> str:
    seconds = _next_try_s(problem)
    return _("Next try in {seconds} s.", seconds=seconds) if seconds else ""


def _next_try_s(problem: Problem) -> int:
    return math.ceil(problem.retry_after or 0) if problem.cause is Cause.UPSTREAM_DOWN else 0
