"""What a leaf is: the one place where an upstream's kind is known.

A leaf translates between our words and one upstream's. It is handed an ``Upstream`` (an open conversation with its
source, with deadline and credential already inside) and answers with Items. It holds no client, no credential and no
state, and knows no other leaf. Failures: ``NotFound`` when the upstream does not show us a thing, ``InvalidInput``,
``Rejected``, ``Conflict`` and ``Forbidden`` where the caller must know, ``ProviderUnavailable`` for everything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from panel.connector import Answer, SourceConfig, Upstream
from panel.core.domain import Choice, Identity, Item, Problem
from panel.core.errors import NotSupported
from panel.integrations.descriptor import Descriptor


class Integration(ABC):
    """Base of all leaves. A subclass states what only its upstream knows; the service does the rest."""

    descriptor: ClassVar[Descriptor]
    folder: ClassVar[Path | None] = None
    """The folder of the leaf's files, set by the registry. A ``row.html`` in it draws the leaf's rows."""

    @property
    def id(self) -> str:
        return self.descriptor.id

    # --- addresses: pure, no call goes out -------------------------------------------------------------------

    @abstractmethod
    def instance_root(self, location: str) -> str:
        """The instance root behind whatever the administrator pasted (root, API address, page).

        Raises InvalidInput("location", …) when no root can be told from it.
        """

    @abstractmethod
    def api_address(self, source: SourceConfig) -> str:
        """The API address that calls go to, shown beside the form as "Resolved"."""

    @abstractmethod
    def url_for(self, source: SourceConfig, reference: str) -> str:
        """The browser address of a stored reference, made without asking the upstream. Never an API address."""

    @abstractmethod
    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        """Whether typed text is an address, id or reference (to be looked up at once) rather than words."""

    # --- reading ---------------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, upstream: Upstream) -> Identity:
        """One cheap call that proves the source readable with its credential. Raises ProviderUnavailable."""

    @abstractmethod
    def probe_product(self, upstream: Upstream) -> str:
        """Step "is it …?": prove the product and return its version ("" when it does not tell)."""

    @abstractmethod
    def probe_identity(self, upstream: Upstream) -> Identity:
        """Step "who am I?". Raises ProviderUnavailable(credentials-rejected) when the upstream does not know us."""

    @abstractmethod
    def probe_reading(self, upstream: Upstream) -> str:
        """Step "may I read?": one sentence on what the account can see; raises when it may not read at all."""

    def fingerprint(self, upstream: Upstream) -> Mapping[str, str]:
        """What tells this instance from others of its kind, by name and the most telling first.

        It outlasts new versions, other accounts and moves to another address, as far as the upstream has such facts;
        what it does not tell is left out. Only hashes of it are kept.
        """
        return {}

    @abstractmethod
    def resolve(self, upstream: Upstream, text: str) -> Item:
        """What a pasted address, id or reference points to, with the upstream's own stable id as ``reference``.

        Raises InvalidInput("reference", …) when it cannot be understood, WrongHost when it is of another host,
        NotFound when the upstream does not show it to us.
        """

    @abstractmethod
    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        """One item by its stored reference. Raises NotFound when the upstream no longer shows it."""

    @abstractmethod
    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        """Every given reference with its item; state ``gone`` where the upstream no longer shows one.

        As few upstream requests as it allows. One bad reference never spoils the others; a failure of the source
        raises and is never answered by leaving things out.
        """

    @abstractmethod
    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """Picker search, best first; empty text lists the most recently changed."""

    # --- writing ---------------------------------------------------------------------------------------------

    @abstractmethod
    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        """Create a thing upstream from the fields of ``descriptor.create`` and return it.

        Raises InvalidInput(field) before anything is sent, Rejected(fields), AlreadyExists, Forbidden, or Uncertain
        when it was sent and no complete answer came.
        """

    def update(self, upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> Item:
        """Change the fields of ``descriptor.update`` that are in ``changes``; ``lockVersion`` may ride along.

        Raises ChangedUpstream when somebody else was first.
        """
        raise NotSupported(f"{self.descriptor.label} cannot be changed from here.")

    def choices(
        self, upstream: Upstream, field: str, values: Mapping[str, str], *, reference: str | None = None
    ) -> Iterable[Choice]:
        """What the upstream offers for a select field, given what is filled in so far (``projectId`` for ``type``).

        ``reference`` is given for fields of an existing item (``status``, ``assignee``).
        """
        raise NotSupported(f"{self.descriptor.label} offers no choices for {field}.")

    def create_elsewhere_url(self, source: SourceConfig, values: Mapping[str, str]) -> str | None:
        """The upstream's own create form, for fields that ours does not have."""
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

    def classify(self, answer: Answer, source: SourceConfig) -> Problem | None:
        """Read an upstream's peculiar way of refusing (a 200 as guest, a 401 that means forbidden).

        Called for every complete answer before the connector classifies by status; None means "nothing peculiar".
        """
        return None
