"""View models of the picker: what a leaf found, how many there are, and where the rest of a text belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from panel.connector import origin_of
from panel.core.errors import PanelError
from panel.core.messages import _, _n, all_of, sentences
from panel.integrations.contract import Integration
from panel.links.finding import MOST_FOUND, LeafFound
from panel.links.naming import Named
from panel.links.reading import Found
from panel.web.context import leaves_for, panel
from panel.web.tab.linked import counted
from panel.web.tab.view_models import ProblemView, problem_view
from panel.web.tab.visit import Visit

NO_SOURCE = _("There is no source for it yet.")


@dataclass(frozen=True, slots=True)
class FoundView:
    """What one leaf found, as the picker shows it."""

    leaf: Integration
    rows: Sequence[Found] = ()
    exact: bool = False
    """Whether the rows are the items that the text names."""
    words: str = ""
    """How many there are, and in which order."""
    announcement: str = ""
    notes: Sequence[str] = ()
    """What the text names beside the rows: items that are not there, and those of other leaves."""
    more_of: int = 0
    """How many are shown so far, if more can be shown."""
    names_items: bool = False
    """Whether the text has addresses or several references, so that it is no title for a new item."""
    problem: ProblemView | None = None
    problem_beside: ProblemView | None = None
    """What cannot be found, beside what was found."""

    @property
    def full(self) -> bool:
        return bool(self.more_of)


def refused_view(here: Visit, leaf: Integration, exc: PanelError) -> FoundView:
    return FoundView(leaf, problem=problem_view(here, leaf, exc))


def found_view(here: Visit, found: LeafFound, named: Named, nowhere: ProblemView | None, *, skip: int) -> FoundView:
    """The results after the first ``skip``. ``nowhere`` is about addresses without a source."""
    rows, shown = found.rows[skip:], len(found.rows)
    has_more = not found.exact and (found.total > shown or found.more)
    return FoundView(
        found.leaf,
        rows,
        found.exact,
        _words(found, shown),
        _announcement(found, shown),
        _notes(here, found, named),
        shown if has_more and shown < MOST_FOUND else 0,
        named.has_addresses or named.number > 1,
        nowhere if not named.by_leaf else None,
        nowhere if named.by_leaf else None,
    )


def _words(found: LeafFound, shown: int) -> str:
    card = found.leaf.descriptor
    values = {"noun": card.noun, "nouns": card.noun_plural, "upstream": card.upstream}
    if found.exact and shown == 1 and found.rows[0].linked:
        return _("This {noun} is already linked.", noun=card.noun)
    if found.exact:
        words = _("{items} in {upstream}", items=counted(found.leaf, shown), upstream=card.upstream)
    elif found.more and found.total <= shown:
        words = _n(
            "First {n} {noun} in {upstream}", "First {n} {nouns} in {upstream}, best match first", shown, **values
        )
    elif found.more:
        words = _(
            "{shown} of more than {n} {nouns} in {upstream}, best match first", n=found.total, shown=shown, **values
        )
    elif found.total > shown:
        words = _("{shown} of {n} {nouns} in {upstream}, best match first", n=found.total, shown=shown, **values)
    else:
        words = _n("{n} {noun} in {upstream}", "{n} {nouns} in {upstream}, best match first", shown, **values)
    if shown < MOST_FOUND or (found.total <= shown and not found.more):
        return words
    return sentences(_("{words}.", words=words), _("Add a word to find fewer."))


def _announcement(found: LeafFound, shown: int) -> str:
    noun, nouns = found.leaf.descriptor.noun, found.leaf.descriptor.noun_plural
    if found.total <= shown:
        return _n("{n} {noun} found", "{n} {nouns} found", shown, noun=noun, nouns=nouns)
    if found.more:
        return _("{shown} of more than {n} {nouns} found", n=found.total, shown=shown, nouns=nouns)
    return _("{shown} of {n} {nouns} found", n=found.total, shown=shown, nouns=nouns)


def _notes(here: Visit, found: LeafFound, named: Named) -> list[str]:
    """What is not among the rows of this leaf."""
    notes: list[str] = []
    if found.missing and (found.rows or len(found.missing) > 1):
        missing = ", ".join(found.missing)
        notes.append(_("Nothing found for {references}.", references=missing))
    others = [leaf for leaf in leaves_for(here.principal) if leaf.id != found.leaf.id and named.of(leaf)]
    if others and (named.has_addresses or named.number > 1) and not named.of(found.leaf):
        notes.append(_belongs_to(others, named))
    return notes


def _belongs_to(others: Sequence[Integration], named: Named) -> str:
    label = all_of(leaf.descriptor.label for leaf in others)
    if len(others) == 1 and len(named.of(others[0])) == 1:
        return _("This is a {noun}: link it under {label}.", noun=others[0].descriptor.noun, label=label)
    return _("These belong under {label}.", label=label)


# --- addresses without a source --------------------------------------------------------------------------------------


def nowhere_problem(here: Visit, leaf: Integration, named: Named) -> ProblemView:
    """Why the addresses that no leaf has cannot be linked, said of the first of them."""
    address = named.unknown[0]
    host = urlsplit(address).netloc.rpartition("@")[2]
    if panel().finder.knows_host(address):
        return ProblemView(
            _("This is an address of {host}.", host=host),
            _("The panel has a source for it, but nothing of it can be linked here."),
        )
    kind = next((one for one in leaves_for(here.principal) if one.recognises(address)), leaf)
    title = _("This is a {noun} of {host}.", noun=kind.descriptor.noun, host=host)
    source = panel().resolver.resolve(kind).config
    if source is None:
        return ProblemView(title, NO_SOURCE, add_source=kind.id if here.is_admin else "", location=origin_of(address))
    connected = _(
        "{label} is connected to {host}, and has one source.",
        label=kind.descriptor.label,
        host=urlsplit(source.root).netloc,
    )
    return ProblemView(title, sentences(NO_SOURCE, connected))
