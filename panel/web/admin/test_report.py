"""View models of Test connection: titles, headline, and the remedy and button of the failed step."""

from __future__ import annotations

from dataclasses import dataclass

from panel.core.domain import ConnectionTest, Problem, Step
from panel.core.reasons import Cause
from panel.web.admin.source_form import SourceForm
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
    "address": "the address failed",
    "tls": "TLS failed",
    "http": "HTTP failed",
    "product": "something else answers there",
    "identity": "sign-in failed",
    "reading": "reading failed",
}


def report(test: ConnectionTest, form: SourceForm) -> Report:
    views = tuple(_step_view(step, test, form) for step in test.steps)
    severity = "warn" if test.warning else "ok" if test.ok else "bad"
    return Report(_headline(test), severity, views, _duration(test.took_ms), form.upstream)


def _duration(ms: int) -> str:
    if not ms:
        return ""
    return f"{ms} ms in all" if ms < 1000 else f"{ms / 1000:.1f} s in all"


def _headline(test: ConnectionTest) -> str:
    steps = [step for step in test.steps if not step.warns]
    passed, total = sum(step.ok is True for step in steps), len(steps)
    if test.ok:
        return f"All {total} steps passed" + ("; another instance answers" if test.warning else "")
    if test.problem is not None and (untested := WORDS[test.problem.reason].untested):
        return untested
    if test.problem is not None and test.problem.cause is Cause.SOURCE_MISSING:
        return f"{passed} of {total} steps passed; {words_of(test.problem).short}"
    failed = next((step.name for step in test.steps if step.ok is False), "")
    return f"{passed} of {total} steps passed; {FAILED.get(failed, 'one failed')}"


def _step_view(step: Step, test: ConnectionTest, form: SourceForm) -> StepView:
    titles = {
        "address": "Address",
        "tls": "TLS",
        "http": "HTTP",
        "product": f"Is it {form.upstream}?",
        "identity": "Who am I?",
        "reading": "May I read?",
        "instance": "Is it the same one?",
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
    return words.format(secret=form.secret_word())


def _change_button(setting: str) -> str:
    return f"Change {setting_name(setting)}"


def _anchor(setting: str, form: SourceForm) -> str:
    """The anchor of a setting on the source form. Settings of the sign-in are in the block of the chosen preset."""
    head, _, key = setting.partition(".")
    return f"auth.{form.chosen}.{key}" if head == "auth" and key else setting
