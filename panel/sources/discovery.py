"""Finds out which product answers at an address, before anything is stored and without a credential.

The requests go through the connector, so that the address guard judges the address as that of any source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from panel.connector import Caller, Connector, Rate, SourceConfig, check_root
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, PanelError, ProviderUnavailable
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.sources.resolver import SourceResolver

PER_PERSON = Rate(10, 60.0)
"""How many addresses one person may have looked at: a burst of ten, then one every six seconds."""
DEADLINE_S = 10.0


class Budget(Protocol):
    """Counts what a person spends, for all processes."""

    def spend(self, charges: Sequence[tuple[str, Rate]]) -> float:
        """Seconds to wait before the next charge; 0 when this one is granted."""


class TooManyAddresses(PanelError):
    """The person had too many addresses looked at. ``retry_after``: seconds until the next one."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(_("Too many addresses in a short time. Wait a moment and try again."))
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at an address. Without ``leaf``, ``problem`` says why nothing was recognised."""

    leaf: Integration | None = None
    location: str = ""
    version: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None


class Discovery:
    def __init__(self, registry: Registry, resolver: SourceResolver, connector: Connector, budget: Budget) -> None:
        self._registry = registry
        self._resolver = resolver
        self._connector = connector
        self._budget = budget

    def find(self, address: str, caller: Caller) -> Found:
        """Ask the address for each product in turn.

        Raises InvalidInput("location", …), TooManyAddresses, and ProviderUnavailable while the connector is off.
        """
        self._resolver.require_connector()
        location = _without_query(address)
        roots = [(leaf, root) for leaf in self._registry.all() for root in leaf.likely_roots(location)]
        for _leaf, root in roots:
            check_root(root)
        wait = self._budget.spend([(f"discovery {_digest(caller.key)}", PER_PERSON)])
        if wait > 0:
            raise TooManyAddresses(wait)
        return self._first(roots, location, caller)

    def _first(self, roots: Sequence[tuple[Integration, str]], location: str, caller: Caller) -> Found:
        problem: Problem | None = None
        for leaf, root in roots:
            try:
                version = self._ask(leaf, root, caller)
                return Found(leaf, root, version, leaf.options_in(location))
            except ProviderUnavailable as exc:
                problem = exc.problem
                if not problem.reason.facts.other_product:
                    break
        return Found(problem=problem)

    def _ask(self, leaf: Integration, root: str, caller: Caller) -> str:
        """The version of the product. Raises ProviderUnavailable when the address does not answer as that product."""
        source = SourceConfig("unsaved", leaf.id, leaf.descriptor.upstream, root, revision=-1)
        with self._connector.open(
            source, caller, classify=leaf.problem_of, deadline_s=DEADLINE_S, test=True
        ) as upstream:
            return leaf.probe_product(upstream)


def _without_query(address: str) -> str:
    """The address as people copy it from a browser, without what follows its path. Raises InvalidInput."""
    address = address.strip()
    if not address:
        raise InvalidInput("location", _("“{name}” is missing.", name="location"))
    if "://" not in address:
        address = f"https://{address}"
    try:
        return urlsplit(address)._replace(query="", fragment="").geturl()
    except ValueError:
        return address


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
