"""Why a form was refused: the summary above its fields, and the messages beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from panel.core.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidInput,
    NotRecorded,
    PanelError,
    ProviderUnavailable,
    Rejected,
    Uncertain,
    WrongInstance,
)
from panel.core.messages import _, sentences
from panel.integrations.contract import Integration
from panel.web.notices import Notice
from panel.web.storage_words import storage_text
from panel.web.tab.inputs import ASKED, Input
from panel.web.tab.view_models import problem_view
from panel.web.tab.visit import Visit

_NOTHING_CREATED = _("Nothing was created.")
_NOTHING_CHANGED = _("Nothing was changed.")
_NOT_YET = _("This cannot be created yet")


@dataclass(frozen=True, slots=True)
class FormErrors:
    """Why a form was refused, shown above its fields."""

    title: str
    text: str
    wrong: tuple[str, ...] = ()
    """Names of the fields to correct."""
    other: tuple[str, ...] = ()
    """Messages of the upstream about fields that the form does not have."""
    notice: Notice | None = None
    uncertain: bool = False


def why_not_created(
    visit: Visit, leaf: Integration, exc: PanelError, asked: Sequence[Input] = ()
) -> tuple[FormErrors, dict[str, str]]:
    """The summary of a refused create form, and the messages for its fields."""
    not_accepted = _("{upstream} did not accept this", upstream=leaf.descriptor.upstream)
    names = {one.name for one in leaf.descriptor.create} | {one.name for one in asked}
    if isinstance(exc, Uncertain) or (isinstance(exc, Conflict) and not isinstance(exc, AlreadyExists | WrongInstance)):
        title = _("We cannot tell whether it was created.")
        return FormErrors(title, _("Check before trying again."), uncertain=True), {}
    if isinstance(exc, Rejected):
        return _refused(not_accepted, _by_input(exc.fields, asked), names, exc.message)
    if isinstance(exc, InvalidInput):
        return _refused(_NOT_YET, {exc.field: exc.message}, names, "")
    if isinstance(exc, ProviderUnavailable):
        found = problem_view(visit, leaf, exc)
        return FormErrors(found.title, sentences(found.text, _NOTHING_CREATED), notice=found.notice), {}
    if isinstance(exc, NotRecorded):
        return FormErrors(_("This was created, but not linked"), exc.message), {}
    if isinstance(exc, Forbidden | AlreadyExists):
        return FormErrors(not_accepted, sentences(exc.message, _NOTHING_CREATED)), {}
    return FormErrors(_("This was not created"), exc.message), {}


def not_created_for_storage(exc: Exception) -> FormErrors:
    """The summary of a create form that was not sent, because our own storage failed before."""
    return FormErrors(_("This was not created"), sentences(storage_text(exc), _NOTHING_CREATED))


def not_changed_for_storage(exc: Exception) -> FormErrors:
    """The summary of an edit form that was not sent, because our own storage failed before."""
    return FormErrors(_("This was not changed"), sentences(storage_text(exc), _NOTHING_CHANGED))


def incomplete(errors: Mapping[str, str]) -> FormErrors:
    """The summary of a form whose fields are wrong before anything is sent."""
    return FormErrors(_NOT_YET, _NOTHING_CREATED, tuple(errors))


def _refused(title: str, fields: Mapping[str, str], names: set[str], message: str) -> tuple[FormErrors, dict[str, str]]:
    known = {name: text for name, text in fields.items() if name in names}
    other = tuple(text for name, text in fields.items() if name not in names)
    general = () if fields or not message else (message,)
    return FormErrors(title, _NOTHING_CREATED, tuple(known), (*other, *general)), known


def why_not_changed(
    visit: Visit, leaf: Integration, exc: PanelError, asked: Sequence[Input] = ()
) -> tuple[FormErrors, dict[str, str]]:
    """The summary of a refused change, and the messages for its fields."""
    names = {one.name for one in leaf.descriptor.update} | {one.name for one in asked}
    if isinstance(exc, Rejected | InvalidInput):
        fields = _by_input(exc.fields, asked) if isinstance(exc, Rejected) else {exc.field: exc.message}
        title = _("{upstream} did not accept this", upstream=leaf.descriptor.upstream)
        form_errors, known = _refused(title, fields, names, exc.message)
        return FormErrors(form_errors.title, _NOTHING_CHANGED, form_errors.wrong, form_errors.other), known
    if isinstance(exc, ProviderUnavailable):
        found = problem_view(visit, leaf, exc)
        unsure = sentences(_("We cannot tell whether it was changed."), _("Check before trying again."))
        end = unsure if exc.in_doubt else _NOTHING_CHANGED
        return FormErrors(found.title, sentences(found.text, end), notice=found.notice), {}
    if isinstance(exc, NotRecorded):
        return FormErrors(_("This was changed, but not recorded"), exc.message), {}
    return FormErrors(_("This was not changed"), exc.message), {}


def _by_input(fields: Mapping[str, str], asked: Iterable[Input]) -> dict[str, str]:
    """The messages of the upstream by the names of the inputs that show them."""
    names = {one.name.removeprefix(ASKED): one.name for one in asked}
    return {names.get(name, name): text for name, text in fields.items()}
