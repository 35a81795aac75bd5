"""The contract kit: checks that every leaf has to pass, for the tests of a leaf.

A test module describes its leaf with one ``Subject`` and runs ``CHECKS``. It needs a stand-in of the upstream that can
simulate failures, such as a subclass of ``panel.sandbox.standin.StandIn``::

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_the_leaf_keeps_the_contract(subject: Subject, check: Check) -> None:
        check(subject)

A check raises BrokenContract, which says what the leaf did wrong. The kit needs no test framework itself.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol
from urllib.parse import urlsplit

from jinja2 import Environment, nodes

from panel.connector import Auth, Caller, Connector, SourceConfig, Upstream
from panel.core.domain import Choice, Item, State
from panel.core.errors import Forbidden, NotFound, NotSupported, PanelError, ProviderUnavailable, Uncertain, WrongHost
from panel.core.reasons import Reason
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field

REASONS = {
    "hang": Reason.TIMEOUT,
    "login-page": Reason.UNEXPECTED_RESPONSE,
    "empty-body": Reason.UNEXPECTED_RESPONSE,
    "empty-object": Reason.UNEXPECTED_RESPONSE,
    "wrong-type": Reason.UNEXPECTED_RESPONSE,
    "broken-json": Reason.UNEXPECTED_RESPONSE,
    "not-found": Reason.UNEXPECTED_RESPONSE,
    "unauthorized": Reason.CREDENTIALS_REJECTED,
    "forbidden": Reason.FORBIDDEN,
    "wall": Reason.UNEXPECTED_RESPONSE,
    "rate-limited": Reason.RATE_LIMITED,
    "overloaded": Reason.RATE_LIMITED,
    "server-error": Reason.SERVER_ERROR,
    "unavailable": Reason.SERVER_ERROR,
    "redirect": Reason.UNEXPECTED_REDIRECT,
    "huge": Reason.TOO_LARGE,
}
"""The expected reason for each fault of a stand-in, the same for every upstream. ``not-found`` is a bare 404, as a
proxy sends it; ``wall`` is the 403 page of a firewall; ``redirect`` leads to another origin."""

HANG_DEADLINE_S = 0.4
DEADLINE_S = 20.0
ELSEWHERE = "https://elsewhere.example/item/1"
NONSENSE = "\x00 no reference \x00"
ROW_KEYS = frozenset({"id", "reference", "title", "url", "state"})
SORTS = frozenset({"updated", "linked", "title", "due"})

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class BrokenContract(AssertionError):
    """A leaf does not keep the contract. The message says what it did instead."""


class Request(Protocol):
    """A request that the stand-in received."""

    @property
    def method(self) -> str: ...


class FailingStandIn(Protocol):
    """A stand-in of the upstream: ``fault`` makes it fail in the way of that name, for every request."""

    fault: str | None
    fault_only: Callable[[Any], bool]
    """Restricts ``fault`` to the requests for which this returns true."""

    def counting(self) -> AbstractContextManager[Sequence[Request]]:
        """Collect the requests that arrive inside the block."""


@dataclass
class Subject:
    """The leaf under test, its stand-in, and what the stand-in holds."""

    leaf: Integration
    standin: FailingStandIn
    location: str
    """The address of the stand-in as an administrator types it, on loopback."""
    auth: Auth
    known: str
    """The reference of an item that the stand-in shows."""
    gone: str
    """A well-formed reference of an item that the stand-in does not show."""
    new: Mapping[str, Any]
    """Values of the create form that the stand-in accepts."""
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root, host_port = self.leaf.instance_root(self.location), urlsplit(self.location).netloc
        self.source = SourceConfig("1", self.leaf.id, self.leaf.id, root, self.auth, options=self.options)
        self._connector = Connector(allowed=lambda: (host_port,))

    def upstream(self) -> Upstream:
        """A new conversation with the stand-in, which waits only briefly for one that hangs."""
        deadline_s = HANG_DEADLINE_S if self.standin.fault == "hang" else DEADLINE_S
        caller = Caller("test", "alice")
        return self._connector.open(self.source, caller, classify=self.leaf.problem_of, deadline_s=deadline_s)

    def both(self) -> Mapping[str, Item]:
        return self.leaf.fetch_many(self.upstream(), [self.known, self.gone])


@dataclass(frozen=True)
class Check:
    """One check by name. Calling it raises BrokenContract when the leaf does not pass."""

    name: str
    run: Callable[[Subject], None]

    def __call__(self, subject: Subject) -> None:
        self.run(subject)

    def __str__(self) -> str:
        return self.name


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BrokenContract(message)


def _failure(work: Callable[[], object], *kinds: type[Exception]) -> Exception:
    """The failure of ``work``, which must be of one of these kinds."""
    try:
        result = work()
    except kinds as exc:
        return exc
    raise BrokenContract(f"expected {kinds[0].__name__}, but the result was {result!r}")


# --- a fault is never a result ---------------------------------------------------------------------------------------

_READS: dict[str, Callable[[Subject], object]] = {
    "check": lambda one: one.leaf.check(one.upstream()),
    "fetch": lambda one: one.leaf.fetch(one.upstream(), one.known),
    "fetch many": lambda one: one.both(),
    "resolve": lambda one: one.leaf.resolve(one.upstream(), one.known),
    "search": lambda one: one.leaf.search(one.upstream(), "bridge", limit=10),
    "empty search": lambda one: one.leaf.search(one.upstream(), "", limit=10),
}


def _read_fault(fault: str, operation: str) -> Check:
    def run(subject: Subject) -> None:
        subject.standin.fault = fault
        failure = _failure(lambda: _READS[operation](subject), ProviderUnavailable)
        reason = failure.reason if isinstance(failure, ProviderUnavailable) else None
        _require(reason is REASONS[fault], f"expected the reason {REASONS[fault]}, but it was {reason}: {failure}")

    return Check(f"{fault} in {operation}", run)


_REFUSING = ("unauthorized", "forbidden", "wall", "rate-limited", "not-found", "redirect")
"""Faults that answer with a 4xx or a redirect."""


_FAILED_CREATES = (ProviderUnavailable, Uncertain, Forbidden)


def _create_fault(fault: str) -> Check:
    def run(subject: Subject) -> None:
        subject.standin.fault = fault
        with subject.standin.counting() as requests:
            _failure(lambda: subject.leaf.create(subject.upstream(), subject.new), *_FAILED_CREATES)
        writes = [request.method for request in requests if request.method in _WRITES]
        _require(len(writes) <= 1, f"a create that failed was sent again: {writes}")

    return Check(f"{fault} in create", run)


def _write_fault(fault: str) -> Check:
    """Only an answer that proves a refusal may be told as a plain failure of a create."""

    def run(subject: Subject) -> None:
        subject.standin.fault, subject.standin.fault_only = fault, lambda request: request.method in _WRITES
        failure = _failure(lambda: subject.leaf.create(subject.upstream(), subject.new), PanelError)
        refused = fault in _REFUSING
        _require(refused is not isinstance(failure, Uncertain), f"refused: {refused}, but it was {failure!r}")

    return Check(f"{fault} in the write of create", run)


def _fault_checks() -> Iterator[Check]:
    for fault in REASONS:
        # The size limit is the same for every operation, so one of them is enough.
        operations = ["fetch many"] if fault == "huge" else list(_READS)
        yield from (_read_fault(fault, operation) for operation in operations)
        yield _create_fault(fault)
        yield _write_fault(fault)


# --- live and gone items ---------------------------------------------------------------------------------------------


def _gone_beside_live(subject: Subject) -> None:
    states = {reference: item.state for reference, item in subject.both().items()}
    expected = {subject.known: State.LIVE, subject.gone: State.GONE}
    _require(states == expected, f"fetch_many: expected {expected}, but it was {states}")


def _every_reference_is_answered(subject: Subject) -> None:
    references = [subject.gone, NONSENSE, subject.known, subject.known]
    found = subject.leaf.fetch_many(subject.upstream(), references)
    _require(set(found) == set(references), f"fetch_many: expected {set(references)}, but it was {set(found)}")
    wrong = [reference for reference, item in found.items() if item.reference != reference]
    _require(not wrong, f"fetch_many: the items of {wrong} have another reference")
    _require(found[NONSENSE].state is State.GONE, "fetch_many: a malformed reference is not gone")
    _require(not subject.leaf.fetch_many(subject.upstream(), []), "fetch_many: an empty list of references gives items")


def _gone_is_not_found(subject: Subject) -> None:
    _failure(lambda: subject.leaf.fetch(subject.upstream(), subject.gone), NotFound)
    _failure(lambda: subject.leaf.resolve(subject.upstream(), subject.gone), NotFound)


def _created_resolves(subject: Subject) -> None:
    created = subject.leaf.create(subject.upstream(), subject.new)
    for text in (created.reference, created.url):
        found = subject.leaf.resolve(subject.upstream(), text).reference
        _require(found == created.reference, f"resolve: {text} is {found}, not {created.reference}")


def _other_host_is_refused(subject: Subject) -> None:
    with subject.standin.counting() as requests:
        failure = _failure(lambda: subject.leaf.resolve(subject.upstream(), ELSEWHERE), WrongHost)
    error = (failure.field, failure.host) if isinstance(failure, WrongHost) else None
    _require(error == ("reference", urlsplit(ELSEWHERE).hostname), f"resolve: WrongHost has {error}")
    _require(not requests, "resolve: an address of another host caused requests")


# --- addresses, texts and rows ---------------------------------------------------------------------------------------


def _urls_stay_inside(subject: Subject) -> None:
    leaf, source = subject.leaf, subject.source
    for url in [leaf.url_for(source, subject.known), *(item.url for item in subject.both().values())]:
        _require(url.startswith(f"{source.root}/"), f"{url} is outside {source.root}")
        _require(not url.startswith(leaf.api_address(source)), f"{url} is an API address")


def _texts_are_plain(subject: Subject) -> None:
    for item in subject.leaf.search(subject.upstream(), "", limit=50):
        texts = [item.title, *_texts(item.facts.values())]
        odd = [text for text in texts if not _is_one_plain_line(text)]
        _require(not odd, f"{item.reference}: not one line of plain text: {odd!r}")


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _texts(value)


def _is_one_plain_line(text: str) -> bool:
    return not any(char in _DIRECTIONS or unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _rows_have_the_same_keys(subject: Subject) -> None:
    live, gone = (subject.leaf.row(item) for item in subject.both().values())
    _require(live.keys() == gone.keys(), f"row: keys differ by state: {sorted(live.keys() ^ gone.keys())}")
    _require(live.keys() >= ROW_KEYS, f"row: keys are missing: {sorted(ROW_KEYS - live.keys())}")
    for row, reference in ((live, subject.known), (gone, subject.gone)):
        _require(row["reference"] == reference, f"row: the reference of {reference} is {row['reference']}")
        json.dumps(row, default=_date_text)


def _date_text(value: object) -> str:
    """A row holds JSON values, dates and times; the panel writes the latter two."""
    if isinstance(value, date):
        return value.isoformat()
    raise BrokenContract(f"row: {value!r} is neither a JSON value nor a date")


def _row_template_escapes(subject: Subject) -> None:
    """A ``row.html`` has no ``safe`` filter and does not turn escaping off."""
    path = subject.leaf.folder / "row.html" if subject.leaf.folder is not None else None
    if path is None or not path.is_file():
        return
    tree = Environment(autoescape=True).parse(path.read_text("utf-8"))
    safe = [node.lineno for node in tree.find_all(nodes.Filter) if node.name == "safe"]
    off = [node.lineno for node in tree.find_all(nodes.ScopedEvalContextModifier)]
    _require(not safe and not off, f"row.html: text is not escaped in the lines {sorted(safe + off)}")


# --- the description -------------------------------------------------------------------------------------------------


def _descriptor_fits(subject: Subject) -> None:
    card, facts = subject.leaf.descriptor, set(subject.both()[subject.known].facts)
    for column in card.columns:
        named = {column.name, *filter(None, [column.color])}
        _require(
            named <= facts, f"leaf.yaml: the column {column.name} names no fact of an item: {sorted(named - facts)}"
        )
    unknown = set(card.sorts) - SORTS - facts
    _require(not unknown, f"leaf.yaml: no fact of an item is called {sorted(unknown)}, which is in sorts")
    for form in (card.create, card.update):
        names = {one.name for one in form}
        loose = [one.name for one in form if one.depends_on and one.depends_on not in names]
        _require(not loose, f"leaf.yaml: the fields {loose} depend on a field that is not there")


def _selects_have_choices(subject: Subject) -> None:
    def check_field(one: Field, reference: str | None) -> None:
        values = {name: str(value) for name, value in subject.new.items()}
        found = subject.leaf.find_choices(subject.upstream(), one.name, values, reference=reference).items
        _require(bool(found), f"choices: none for {one.name}")
        _require(all(isinstance(choice, Choice) for choice in found), f"choices: {one.name} has other values")

    for form, reference in ((subject.leaf.descriptor.create, None), (subject.leaf.descriptor.update, subject.known)):
        for one in form:
            if one.kind in ("select", "suggest"):
                check_field(one, reference)


def _update_fits_the_description(subject: Subject) -> None:
    leaf = subject.leaf
    if leaf.descriptor.update:
        _require(type(leaf).update is not Integration.update, "leaf.yaml has update fields and the leaf no update")
        names = {one.name for one in leaf.descriptor.update}
        strange = set(subject.both()[subject.known].field_values) - names
        _require(not strange, f"field_values: {sorted(strange)} are no fields of update")
        return
    _failure(lambda: leaf.update(subject.upstream(), subject.known, {"title": "x"}), NotSupported)


def _holds_no_state(subject: Subject) -> None:
    subject.leaf.search(subject.upstream(), "bridge", limit=5)
    subject.both()
    _require(not vars(subject.leaf), f"the leaf keeps state between calls: {sorted(vars(subject.leaf))}")


CHECKS: tuple[Check, ...] = (
    *_fault_checks(),
    Check("gone beside live", _gone_beside_live),
    Check("every reference is answered", _every_reference_is_answered),
    Check("gone is not found", _gone_is_not_found),
    Check("a created item resolves", _created_resolves),
    Check("another host is refused", _other_host_is_refused),
    Check("urls stay inside the source", _urls_stay_inside),
    Check("texts are plain", _texts_are_plain),
    Check("rows have the same keys", _rows_have_the_same_keys),
    Check("the row template escapes", _row_template_escapes),
    Check("the descriptor fits the items", _descriptor_fits),
    Check("selects have choices", _selects_have_choices),
    Check("update fits the descriptor", _update_fits_the_description),
    Check("no state is kept", _holds_no_state),
)
