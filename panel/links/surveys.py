"""What is known of objects without a request: how many links each leaf has, and whether its items can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from panel.accounts.principal import Action
from panel.core.domain import ObjectRef
from panel.core.reasons import Cause, Reason
from panel.integrations.contract import Integration
from panel.integrations.registry import Registry
from panel.links import pointers
from panel.links.pointers import Count
from panel.links.visitor import Visitor
from panel.sources.resolver import SourceResolver
from panel.sources.service import Sources
from panel.sources.standing import Standings


class LeafState(StrEnum):
    """Whether the items of a leaf can be read, as far as is known; the best state first."""

    OK = "ok"
    UNCONFIGURED = "unconfigured"
    """There is no source, or it is switched off or not valid."""
    DEGRADED = "degraded"
    OFF = "off"
    """The connector is switched off."""


@dataclass(frozen=True, slots=True)
class LeafSurvey:
    """The links of an object to one leaf, and the state of that leaf."""

    leaf: Integration
    links: Count
    state: LeafState
    reason: Reason | None
    """Why the items cannot be read. None also where another instance answers than that of the links."""


@dataclass(frozen=True, slots=True)
class ObjectSurvey:
    """All leaves of an object that the visitor may see."""

    object: ObjectRef
    leaves: tuple[LeafSurvey, ...]

    @property
    def total(self) -> int:
        return sum(one.links.total for one in self.leaves)

    @property
    def changed(self) -> datetime | None:
        """When the newest link was made."""
        return max((one.links.newest for one in self.leaves if one.links.newest is not None), default=None)

    @property
    def worst(self) -> LeafSurvey | None:
        """The leaf in the worst state. A leaf without a source and without links concerns nobody but administrators."""
        met = [one for one in self.leaves if one.links.total or one.state is not LeafState.UNCONFIGURED]
        return max(met or self.leaves, key=lambda one: list(LeafState).index(one.state), default=None)


class Surveys:
    """Reads the database only. Every method checks the rights of its visitor first."""

    def __init__(self, registry: Registry, resolver: SourceResolver, sources: Sources, standings: Standings) -> None:
        self._registry = registry
        self._resolver = resolver
        self._sources = sources
        self._standings = standings

    def survey(self, visitor: Visitor, obj: ObjectRef) -> ObjectSurvey:
        """Raises NotFound for an object outside the limits of the visitor."""
        visitor.principal.require(Action.VIEW, obj)
        return self._surveys(visitor, [obj])[0]

    def survey_all(self, visitor: Visitor, objects: Sequence[ObjectRef]) -> list[ObjectSurvey]:
        """The objects that the visitor may see, in the given order; the others are left out."""
        visitor.principal.require(Action.VIEW)
        limits = visitor.principal.limits
        return self._surveys(visitor, [obj for obj in objects if limits is None or limits.allows(obj)])

    def _surveys(self, visitor: Visitor, objects: Sequence[ObjectRef]) -> list[ObjectSurvey]:
        leaves = [leaf for leaf in self._registry.all() if visitor.principal.sees(leaf.id)]
        known = [(leaf, self._condition(leaf)) for leaf in leaves]
        counted = pointers.counts_of(objects)

        def leaf_survey(obj: ObjectRef, leaf: Integration, condition: tuple[LeafState, Reason | None]) -> LeafSurvey:
            return LeafSurvey(leaf, counted.get((obj, leaf.id), Count()), *condition)

        return [ObjectSurvey(obj, tuple(leaf_survey(obj, leaf, state) for leaf, state in known)) for obj in objects]

    def _condition(self, leaf: Integration) -> tuple[LeafState, Reason | None]:
        """The state of a leaf by its settings, and by what its last calls met."""
        problem = self._resolver.resolve(leaf).problem
        if problem is not None:
            return _STATES.get(problem.cause, LeafState.DEGRADED), problem.reason
        standing = self._standings.of(self._sources.find(leaf.id))
        return (LeafState.DEGRADED, standing.reason) if standing.failed else (LeafState.OK, None)


_STATES = {Cause.CONNECTOR_DOWN: LeafState.OFF, Cause.SOURCE_MISSING: LeafState.UNCONFIGURED}
