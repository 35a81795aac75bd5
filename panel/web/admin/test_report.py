"""View models of Test connection: titles, headline, and the remedy and button of the failed step."""

from __future__ import annotations

from dataclasses import dataclass

from panel.core.domain import ConnectionTest, Problem, Step
from panel.core.messages import _
from panel.core.reasons import Cause
from panel.web.admin.source_form import SourceForm
from panel.web.formatting import duration
from panel.web.notices import notice
from panel.web.reason_words import WORDS, remedy_of, setting_name, words_of


@dataclass(frozen=True, slots=True)
class StepView:
    """One step. ``button`` leads to the field ``anchor`` of the form."""

    title: str
    step: Step
    message: str
    change: str = ""
    button: str = ""
    anchor: str = ""

    @property
    def severity(self) -> str:
        if self.step.warns:
            return "warn"
        return {True: "ok", False: "bad", None: "none"}[self.step.ok]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole test. ``took`` is its duration as text."""

    headline: str
    severity: str
    steps: tuple[StepView, ...]
    took: str
    upstream: str


FAILED = {
    "address": _("the address failed"),
    "tls": _("TLS failed"),
    "http": _("HTTP failed"),
    "product": _("something else answers there"),
    "identity": _("sign-in failed"),
    "reading": _("reading failed"),
}


def report(test: ConnectionTest, form: SourceForm) -> Report:
    views = tuple(_step_view(step, test, form) for step in test.steps)
    severity = "warn" if test.warning else "ok" if test.ok else "bad"
    return Report(_headline(test), severity, views, _duration(test.took_ms), form.upstream)


def _duration(ms: int) -> str:
    if not ms:
        return ""
    return _("{time} in all", time=duration(ms))


def _headline(test: ConnectionTest) -> str:
    steps = [step for step in test.steps if not step.warns]
    passed, total = sum(step.ok is True for step in steps), len(steps)
    if test.ok:
        all_passed = (
            _("All {total} steps passed; another instance answers") if test.warning else _("All {total} steps passed")
        )
        return all_passed.filled(total=total)
    if test.problem is not None and (untested := WORDS[test.problem.reason].untested):
        return untested
    return _("{passed} of {total} steps passed; {failure}", passed=passed, total=total, failure=_failure(test))


def _failure(test: ConnectionTest) -> str:
    """What failed, in a few words."""
    if test.problem is not None and test.problem.cause is Cause.SOURCE_MISSING:
        return words_of(test.problem).short
    failed = next((step.name for step in test.steps if step.ok is False), "")
    return FAILED.get(failed) or _("one failed")


def _step_view(step: Step, test: ConnectionTest, form: SourceForm) -> StepView:
    titles = {
        "address": _("Address"),
        "tls": _("TLS"),
        "http": _("HTTP"),
        "product": _("Is it {upstream}?", upstream=form.upstream),
        "identity": _("Who am I?"),
        "reading": _("May I read?"),
        "instance": _("Is it the same one?"),
    }
    title = titles.get(step.name, step.name)
    anchor = _anchor(step.field, form)
    if step.warns:
        return StepView(title, step, step.message, step.change, _change_button(step.field), anchor)
    if step.ok is not False or test.problem is None:
        return StepView(title, step, step.message)
    button = _button(test.problem, form) if anchor else ""
    remedy = remedy_of(test.problem, form.upstream)
    return StepView(title, step, _notice_text(test.problem, form) or step.message, remedy, button, anchor)


def _notice_text(problem: Problem, form: SourceForm) -> str:
    """The text of the failure as in the tab; the step also shows the message of the problem."""
    return notice(problem, form.leaf, admin=True, links=0).text if form.leaf is not None else ""


def _button(problem: Problem, form: SourceForm) -> str:
    words = words_of(problem).button
    is_usual = problem.setting == problem.reason.facts.field
    if not words or not is_usual or ("{secret}" in words and form.preset.auth == "none"):
        return _change_button(problem.setting)
    return words.filled(secret=form.secret_word())


def _change_button(setting: str) -> str:
    return _("Change {setting}", setting=setting_name(setting))


def _anchor(setting: str, form: SourceForm) -> str:
    """The anchor of a setting on the source form. Settings of the sign-in are in the block of the chosen preset."""
    head, _, key = setting.partition(".")
    return f"auth.{form.chosen}.{key}" if head == "auth" and key else setting
