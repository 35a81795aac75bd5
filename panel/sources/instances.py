"""Which instance of an upstream the links of an integration were made in; known by hashes only.

The first check that goes well tells; later ones are compared with it. Neither a new location nor deleting the source
makes it forget: only when nobody has a link any more, or somebody says that another instance is meant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from panel.core.clock import now
from panel.core.errors import Conflict
from panel.storage.engine import db
from panel.storage.models import Instance, Link


@dataclass(frozen=True, slots=True)
class OtherInstance:
    """The upstream that answers is another instance than the one that ``links`` links were made in."""

    links: int
    id: str
    """Names exactly this other instance, so that nobody accepts one that he has not seen."""

    def sentence(self, upstream: str) -> str:
        made = "the link was" if self.links == 1 else f"the {self.links:,} links were"
        return f"This leads to another {upstream} than the one {made} made in."


class Instances:
    def other_instance(self, integration: str) -> OtherInstance | None:
        """What the last check found, when that is another instance than the links'."""
        row = db.session.get(Instance, integration)
        return self._other_instance(integration, row.other) if row is not None and row.other else None

    def compare(self, integration: str, facts: Mapping[str, str]) -> OtherInstance | None:
        """Whether ``facts`` (``Integration.fingerprint``) are of another instance. Nothing is kept of them."""
        row, marks = db.session.get(Instance, integration), _fingerprints(integration, facts)
        if row is None or not differs(row.marks, marks):
            return None
        return self._other_instance(integration, marks)

    def note(self, integration: str, facts: Mapping[str, str]) -> OtherInstance | None:
        """The same, and keep what was found. Facts that are not told now change nothing."""
        marks = _fingerprints(integration, facts)
        if not marks:
            return self.other_instance(integration)
        row = db.session.get(Instance, integration) or Instance(integration=integration, marks={})
        found = self._other_instance(integration, marks) if differs(row.marks, marks) else None
        if found is not None:
            row.other = marks
        else:
            _become(row, marks)
        db.session.add(row)
        try:
            db.session.commit()
        except IntegrityError:
            # Two first checks ended at once; what one of them has kept is as good.
            db.session.rollback()
        return found

    def accept(self, integration: str, other_instance: str) -> None:
        """From now on the links are those of the instance that ``other_instance`` names; the caller commits.

        Raises Conflict when the last check found another one, or none.
        """
        row, found = db.session.get(Instance, integration), self.other_instance(integration)
        if row is None or row.other is None or found is None or found.id != other_instance:
            raise Conflict("This is no longer what the last check found. Test the connection again.")
        _become(row, row.other)

    def _other_instance(self, integration: str, marks: Mapping[str, str]) -> OtherInstance | None:
        links = db.session.scalar(select(func.count()).select_from(Link).where(Link.integration == integration)) or 0
        return OtherInstance(links, _digest("\n".join(marks.values()))[:16]) if links else None


def differs(known: Mapping[str, str], marks: Mapping[str, str]) -> bool:
    """The most telling mark that both have decides. What only one of them has, says nothing."""
    name = next((name for name in marks if name in known), None)
    return name is not None and marks[name] != known[name]


def _become(row: Instance, marks: Mapping[str, str]) -> None:
    """Know an instance by ``marks``. Those of the same one that were told before are kept."""
    kept = {} if differs(row.marks, marks) else row.marks
    if {**kept, **marks} != row.marks:
        row.marks, row.known_at = {**kept, **marks}, now()
    if row.other is not None:
        row.other = None


def _fingerprints(integration: str, facts: Mapping[str, str]) -> dict[str, str]:
    return {name: _digest(f"{integration}\n{name}\n{value}") for name, value in facts.items() if value}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
