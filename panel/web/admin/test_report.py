"""The Test connection ladder in words: titles, the headline, and the one button of the rung that failed."""

from __future__ import annotations

from dataclasses import dataclass

from panel.core.domain import Ladder, Reason, Rung
from panel.web.admin.source_form import SourceForm
from panel.web.error_bodies import notice


@dataclass(frozen=True, slots=True)
class Step:
    """One rung as it is shown. ``button`` leads to the field ``anchor`` of the form."""

    title: str
    rung: Rung
    says: str
    button: str = ""
    anchor: str = ""

    @property
    def tone(self) -> str:
        if self.rung.warns:
            return "warn"
        return {True: "ok", False: "bad", None: "none"}[self.rung.ok]


@dataclass(frozen=True, slots=True)
class Report:
    headline: str
    tone: str
    steps: tuple[Step, ...]
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


def report(ladder: Ladder, form: SourceForm) -> Report:
    steps = tuple(_step(rung, ladder, form) for rung in ladder.rungs)
    tone = "warn" if ladder.warning else "ok" if ladder.ok else "bad"
    return Report(_headline(ladder), tone, steps, _took(ladder.took_ms), form.upstream)


def _took(ms: int) -> str:
    if not ms:
        return ""
    return f"{ms} ms in all" if ms < 1000 else f"{ms / 1000:.1f} s in all"


def _headline(ladder: Ladder) -> str:
    steps = [rung for rung in ladder.rungs if not rung.warns]
    passed, total = sum(rung.ok is True for rung in steps), len(steps)
    if ladder.ok:
        return f"All {total} steps passed" + ("; another instance answers" if ladder.warning else "")
    if ladder.problem is not None and ladder.problem.reason is Reason.CONNECTOR_DISABLED:
        return "Not tested: the connector is off"
    if ladder.problem is not None and ladder.problem.reason is Reason.SOURCE_UNREADABLE:
        return "Not tested: the stored secret cannot be read"
    failed = next((rung.name for rung in ladder.rungs if rung.ok is False), "")
    return f"{passed} of {total} steps passed; {FAILED.get(failed, 'one failed')}"


def _step(rung: Rung, ladder: Ladder, form: SourceForm) -> Step:
    titles = {
        "address": "Address",
        "tls": "TLS",
        "http": "HTTP",
        "product": f"Is it {form.upstream}?",
        "identity": "Who am I?",
        "reading": "May I read?",
        "instance": "Is it the same one?",
    }
    title = titles.get(rung.name, rung.name)
    if rung.warns:
        return Step(title, rung, rung.message, BUTTONS[rung.field], rung.field)
    if rung.ok is not False:
        return Step(title, rung, rung.message)
    button = _button(rung, ladder, form) if rung.field else ""
    return Step(title, rung, _says(ladder, form) or rung.message, button, rung.field)


def _says(ladder: Ladder, form: SourceForm) -> str:
    """The failure in the tab's own words; what came back stands beneath, word for word."""
    if ladder.problem is None or form.leaf is None:
        return ""
    return notice(ladder.problem, form.leaf, admin=True, links=0).text


def _button(rung: Rung, ladder: Ladder, form: SourceForm) -> str:
    retype = (Reason.CREDENTIALS_REJECTED, Reason.AUTHENTICATION_EXPIRED, Reason.SOURCE_UNREADABLE)
    if rung.field == "auth" and form.preset.auth != "none" and ladder.problem and ladder.problem.reason in retype:
        return f"Enter the {form.secret_word()} again"
    return BUTTONS.get(rung.field, "Open the source")
