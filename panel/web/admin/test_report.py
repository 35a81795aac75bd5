"""Test connection in words: titles, the headline, and the one button of the step that failed."""

from __future__ import annotations

from dataclasses import dataclass

from panel.core.domain import ConnectionTest, Step
from panel.core.reasons import Reason
from panel.web.admin.source_form import SourceForm
from panel.web.error_bodies import notice


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as it is shown. ``button`` leads to the field ``anchor`` of the form."""

    title: str
    step: Step
    says: str
    button: str = ""
    anchor: str = ""

    @property
    def severity(self) -> str:
        if self.step.warns:
            return "warn"
        return {True: "ok", False: "bad", None: "none"}[self.step.ok]


@dataclass(frozen=True, slots=True)
class Report:
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
BUTTONS = {
    "location": "Change the location",
    "auth": "Change the sign-in",
    "ca_file": "Change the CA file",
    "connect": "Connect again",
}


def report(test: ConnectionTest, form: SourceForm) -> Report:
    views = tuple(_step_view(step, test, form) for step in test.steps)
    severity = "warn" if test.warning else "ok" if test.ok else "bad"
    return Report(_headline(test), severity, views, _took(test.took_ms), form.upstream)


def _took(ms: int) -> str:
    if not ms:
        return ""
    return f"{ms} ms in all" if ms < 1000 else f"{ms / 1000:.1f} s in all"


def _headline(test: ConnectionTest) -> str:
    steps = [step for step in test.steps if not step.warns]
    passed, total = sum(step.ok is True for step in steps), len(steps)
    if test.ok:
        return f"All {total} steps passed" + ("; another instance answers" if test.warning else "")
    if test.problem is not None and test.problem.reason is Reason.CONNECTOR_DISABLED:
        return "Not tested: the connector is off"
    if test.problem is not None and test.problem.reason is Reason.SOURCE_UNREADABLE:
        return "Not tested: the stored secret cannot be read"
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
    if step.warns:
        return StepView(title, step, step.message, BUTTONS[step.field], step.field)
    if step.ok is not False:
        return StepView(title, step, step.message)
    button = _button(step, test, form) if step.field else ""
    return StepView(title, step, _says(test, form) or step.message, button, step.field)


def _says(test: ConnectionTest, form: SourceForm) -> str:
    """The failure in the tab's own words; what came back stands beneath, word for word."""
    if test.problem is None or form.leaf is None:
        return ""
    return notice(test.problem, form.leaf, admin=True, links=0).text


def _button(step: Step, test: ConnectionTest, form: SourceForm) -> str:
    retype = (Reason.CREDENTIALS_REJECTED, Reason.AUTHENTICATION_EXPIRED, Reason.SOURCE_UNREADABLE)
    if step.field == "auth" and form.preset.auth != "none" and test.problem and test.problem.reason in retype:
        return f"Enter the {form.secret_word()} again"
    return BUTTONS.get(step.field, "Open the source")
