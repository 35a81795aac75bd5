"""The contract of a leaf: the only code that knows one kind of upstream.

A leaf maps an upstream's API to Items. Its methods receive an ``Upstream``, an open conversation with the source that
already has the deadline and the credential. A leaf holds no client, no credential and no state, and does not import
another leaf. It raises ``NotFound`` when the upstream does not show an item to the account, ``InvalidInput``,
``Rejected``, ``Conflict`` and ``Forbidden`` where the caller must know the difference, and ``ProviderUnavailable`` for
every other failure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from panel.connector import Answer, SourceConfig, Upstream
from panel.core.domain import Choice, Choices, Identity, Item, Problem
from panel.core.errors import NotSupported, ProviderUnavailable, Uncertain
from panel.core.messages import _
from panel.integrations.descriptor import Descriptor, Field
from panel.integrations.in_front import problem_in_front


@dataclass(frozen=True, slots=True)
class AskedField:
    """A field that the panel's form does not have, and that the upstream wants to be filled."""

    field: Field
    choices: Choices
    value: str = ""
    """The present value."""


@dataclass(frozen=True, slots=True)
class FurtherFields:
    """Fields that the upstream requires of a new item, and that the descriptor does not have."""

    fields: tuple[AskedField, ...] = ()
    undrawn: tuple[str, ...] = ()
    """Labels of those that the panel's form cannot show."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One step of browsing the nested choices of a field."""

    trail: tuple[Choice, ...]
    """The choices around the one that is shown, outermost first, and that one itself; () at the top."""
    choices: Choices
    """The one that is shown, and those directly below it."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search of an upstream found."""

    items: Sequence[Item]
    """The best matches, as many as were asked for."""
    total: int
    """How many items match; at least so many if ``more``."""
    more: bool = False
    """Whether there are further matches that were not counted."""


IT = _("it")


@contextmanager
def creating(upstream: Upstream, what: str = IT) -> Iterator[None]:
    """Raise Uncertain for a failure after which the item may exist: no answer, an incomplete or broken one, or a 5xx.

    An answer that proves a refusal, such as a 4xx, leaves its failure unchanged. ``what`` names the item.
    """
    try:
        yield
    except ProviderUnavailable as exc:
        if not upstream.may_have_written:
            raise
        raise Uncertain(_("We cannot tell whether {what} was created. Check before trying again.", what=what)) from exc


class Integration(ABC):
    """Base class of all leaves."""

    descriptor: ClassVar[Descriptor]
    folder: ClassVar[Path | None] = None
    """The folder of the leaf's files, set by the registry. A ``row.html`` in it draws the leaf's rows."""
    can_move: ClassVar[bool] = False
    """Whether its items can get another reference. Such a leaf fills ``Item.origin`` and implements ``locate``."""

    @property
    def id(self) -> str:
        return self.descriptor.id

    # --- addresses: pure, no call goes out -------------------------------------------------------------------

    @abstractmethod
    def instance_root(self, location: str) -> str:
        """The instance root of an address that the administrator pasted: the root, an API address or a page.

        Raises InvalidInput("location", …) when the address has no recognisable root.
        """

    def likely_roots(self, location: str) -> Sequence[str]:
        """Where the instance may be when an administrator has typed an address only. Raises like ``instance_root``."""
        return (self.instance_root(location),)

    def options_in(self, location: str) -> Mapping[str, str]:
        """The options of a source that can be read off a pasted address."""
        return {}

    @abstractmethod
    def api_address(self, source: SourceConfig) -> str:
        """The API address that calls go to. The source form shows it as "Resolved"."""

    @abstractmethod
    def url_for(self, source: SourceConfig, reference: str) -> str:
        """The browser address of a stored reference, built without a request. Never an API address."""

    def shown_reference(self, reference: str) -> str:
        """A stored reference as people read it, for a row without a title."""
        return reference.removeprefix(f"{self.id}:")

    def values_beside(self, reference: str) -> Mapping[str, str]:
        """Values of the create form for a new item at the place of a stored reference, built without a request."""
        return {}

    @abstractmethod
    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        """Whether typed text is an address, an id or a reference, and not words to search for."""

    def references_named(self, source: SourceConfig, text: str) -> Sequence[str]:
        """The stored references that a typed text can name, the likeliest first, without a request.

        Empty for text that names no item, or whose item only the upstream can tell.
        """
        return ()

    def recognises(self, address: str) -> bool:
        """Whether an http(s) address has the form of an item's address at any instance of this upstream."""
        return False

    # --- reading ---------------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, upstream: Upstream) -> Identity:
        """Prove that the source is readable with its credential, as a list reads it. Raises ProviderUnavailable."""

    def check_list(self, upstream: Upstream) -> None:
        """Prove with one cheap call that a list could be read, for an object without links. Raises as ``check``."""
        self.check(upstream)

    @abstractmethod
    def probe_product(self, upstream: Upstream) -> str:
        """Step "is it …?": prove the product and return its version, "" if unknown."""

    @abstractmethod
    def probe_identity(self, upstream: Upstream) -> Identity:
        """Step "who am I?". Raises ProviderUnavailable(credentials-rejected) for a credential that is not accepted."""

    @abstractmethod
    def probe_reading(self, upstream: Upstream) -> str:
        """Step "may I read?": one sentence on what the account can see. Raises when it may not read anything."""

    def fingerprint(self, upstream: Upstream) -> Mapping[str, str]:
        """Values that identify this instance, by name, the most specific first.

        They stay the same across upgrades, accounts and addresses. Values that the upstream does not provide are left
        out. The panel stores only their hashes.
        """
        return {}

    @abstractmethod
    def resolve(self, upstream: Upstream, text: str) -> Item:
        """The item of a pasted address, id or reference. Its ``reference`` is the upstream's own stable id.

        Raises InvalidInput("reference", …) for text that cannot be parsed, WrongHost for an address of another host,
        NotFound when the upstream does not show the item to the account.
        """

    @abstractmethod
    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        """Fetch one item by its stored reference. Raises NotFound when the upstream no longer shows it.

        The state of an item that the upstream redirects to another place is ``moved``.
        """

    @abstractmethod
    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        """Fetch the item of every given reference, with the state ``gone`` where the upstream no longer shows it.

        Uses as few requests as the upstream allows. A bad reference does not affect the others. A failure of the source
        raises ProviderUnavailable; the result never leaves a reference out.
        """

    def locate(self, upstream: Upstream, absent: Sequence[Item], origins: Mapping[str, int]) -> Mapping[str, Item]:
        """Look for items that ``fetch_many`` or ``fetch`` did not find at their references.

        ``origins`` has the stored ``Item.origin`` of those whose origin is known. The result has, by the old reference,
        what differs from ``absent``: ``Item.moved`` for those that were found, a gone item for a redirect that leads
        nowhere. It takes a few requests for all of them together. Without ``can_move`` it is not called.
        """
        return {}

    @abstractmethod
    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """Search for the picker, best match first. Empty text lists the most recently changed items."""

    def suggest(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """``search`` for the panel's own picker, which shows title, number and the columns with ``in_search``.

        Other values of the items may be missing, where the upstream finds these with less work. By default the same.
        """
        return self.search(upstream, text, limit=limit)

    def find(self, upstream: Upstream, text: str, *, limit: int, titles_only: bool = False) -> Hits:
        """What ``suggest`` finds, with the number of matches. ``titles_only`` leaves out what only a text says.

        By default the matches are those that ``suggest`` finds, wherever it looks.
        """
        found = self.suggest(upstream, text, limit=limit)
        return Hits(found, len(found), more=len(found) >= limit)

    # --- writing ---------------------------------------------------------------------------------------------

    @abstractmethod
    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        """Create an item upstream from the fields of ``descriptor.create`` and return it.

        Raises InvalidInput(field) before anything is sent, Rejected(fields), AlreadyExists, Forbidden, or Uncertain
        when the request was sent and no answer proves that nothing was created: see ``creating``.
        """

    def update(self, upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> Item:
        """Change the fields of ``descriptor.update`` that are in ``changes``.

        ``changes`` may hold ``lockVersion``, the ``Item.lock_version`` on which the change is based. Raises
        ChangedUpstream when the item has changed since.
        """
        raise NotSupported(_("{label} cannot be changed from here.", label=self.descriptor.label))

    def choices(
        self, upstream: Upstream, field: str, values: Mapping[str, str], *, reference: str | None = None
    ) -> Iterable[Choice]:
        """The choices of a select field, which may depend on the other values of the form.

        ``reference`` is the item that is being changed; None for a field of the create form.
        """
        raise NotSupported(_("{label} offers no choices for {field}.", label=self.descriptor.label, field=field))

    def find_choices(
        self,
        upstream: Upstream,
        field: str,
        values: Mapping[str, str],
        *,
        search: str = "",
        reference: str | None = None,
    ) -> Choices:
        """The choices that match the typed words; without words the first ones, and the chosen one of ``values``.

        By default all ``choices`` are read and compared here. A leaf whose upstream has many searches there instead,
        and says in ``total`` how many there are.
        """
        words = search.casefold().split()
        found = self.choices(upstream, field, values, reference=reference)
        return Choices.whole(choice for choice in found if all(word in choice.label.casefold() for word in words))

    def branch(self, upstream: Upstream, field: str, within: str) -> Branch:
        """The choices directly below one of them, or the outermost for "". Only for a field that is ``nested``."""
        raise NotSupported(_("{label} offers no choices for {field}.", label=self.descriptor.label, field=field))

    def asked_fields(
        self, upstream: Upstream, names: Sequence[str], values: Mapping[str, str], *, reference: str | None = None
    ) -> Sequence[AskedField]:
        """Those of ``names``, which the upstream gave in ``Rejected``, that the panel can show as fields.

        A form adds them, and sends their values in ``fields`` of the values of ``create`` or the changes of ``update``.
        """
        return ()

    def further_fields(self, upstream: Upstream, values: Mapping[str, str]) -> FurtherFields | None:
        """What the upstream requires for these values of the create form; None when it does not say now.

        Their values are sent in ``fields`` of the values of ``create``.
        """
        return FurtherFields()

    def find_existing(self, upstream: Upstream, values: Mapping[str, str]) -> Item | None:
        """The item that stands already where ``create`` would make one of these values; None without one.

        It is asked while a person fills the form. Fields with ``identifies`` decide it.
        """
        return None

    def create_elsewhere_url(self, source: SourceConfig, values: Mapping[str, str]) -> str | None:
        """Address of the upstream's own create form, for fields that the panel's form does not have."""
        return None

    # --- shape -----------------------------------------------------------------------------------------------

    def row(self, item: Item) -> dict[str, Any]:
        """The JSON row of an item, with the same keys in every state.

        Values are JSON values, dates and times; the panel writes the latter two. By default the row has the facts of
        the columns beside what every item has.
        """
        facts = {column.name: item.facts.get(column.name) for column in self.descriptor.columns}
        own = {"id": item.reference, "reference": item.reference, "title": item.title, **facts}
        return {**own, "url": item.url, "updated": item.updated, "state": item.state}

    # --- answers ---------------------------------------------------------------------------------------------

    def problem_of(self, answer: Answer, source: SourceConfig) -> Problem | None:
        """The problem of an answer whose status does not show it, or shows it wrongly.

        The connector calls this for every complete answer before it classifies by status. None leaves the answer to
        its status.
        """
        lacking = self.lacks(answer)
        in_front = problem_in_front(answer, self.descriptor.upstream, lacking) if lacking else None
        return in_front or self.classify(answer, source)

    def lacks(self, answer: Answer) -> str:
        """What proves that the upstream itself sent an answer, and this one lacks; "" for an answer of its own.

        By default a page in HTML is not the upstream's own: its API answers in JSON.
        """
        return "JSON" if answer.media_type == "text/html" else ""

    def classify(self, answer: Answer, source: SourceConfig) -> Problem | None:
        """The problem of an answer that only this upstream gives (a 200 as guest, a 401 for forbidden)."""
        return None
