"""Recognises the instance of an upstream in which the links of an integration were made, by hashes only.

The first successful check stores the fingerprints of the instance; later checks compare theirs. They outlive a new
location and the deletion of the source. They are replaced while the integration has no links, and when an
administrator accepts another instance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from panel.core.clock import now
from panel.core.errors import Conflict, WrongInstance
from panel.core.messages import Message, _, _n, sentences
from panel.storage.engine import db
from panel.storage.models import Instance, Link

UNDECIDED = _("Nothing is linked, created or changed until an administrator decides which one is meant.")


@dataclass(frozen=True, slots=True)
class OtherInstance:
    """An instance that answers and is not the one in which ``links`` links were made."""

    links: int
    id: str
    """Identifies this other instance, so that only the instance that was shown can be accepted."""

    def sentence(self, upstream: str) -> Message:
        return _n(
            "This leads to another {upstream} than the one the link was made in.",
            "This leads to another {upstream} than the one the {n} links were made in.",
            self.links,
            upstream=upstream,
        )


class Instances:
    def other_instance(self, integration: str) -> OtherInstance | None:
        """The instance that the last check found, if it is another one than that of the links."""
        row = db.session.get(Instance, integration)
        return self._other_instance(integration, row.other) if row is not None and row.other else None

    def require_known(self, integration: str, upstream: str) -> None:
        """Raises WrongInstance while the last check found another instance and no administrator has decided."""
        found = self.other_instance(integration)
        if found is not None:
            raise WrongInstance(sentences(found.sentence(upstream), UNDECIDED))

    def compare(self, integration: str, facts: Mapping[str, str]) -> OtherInstance | None:
        """The other instance that ``facts`` (``Integration.fingerprint``) belong to, or None. Stores nothing."""
        row, fingerprints = db.session.get(Instance, integration), _fingerprints(integration, facts)
        if row is None or not differs(row.marks, fingerprints):
            return None
        return self._other_instance(integration, fingerprints)

    def note(self, integration: str, facts: Mapping[str, str]) -> OtherInstance | None:
        """Compare and store the result. Without facts nothing changes."""
        fingerprints = _fingerprints(integration, facts)
        if not fingerprints:
            return self.other_instance(integration)
        row = db.session.get(Instance, integration) or Instance(integration=integration, marks={})
        found = self._other_instance(integration, fingerprints) if differs(row.marks, fingerprints) else None
        if found is not None:
            row.other = fingerprints
        else:
            _store(row, fingerprints)
        db.session.add(row)
        try:
            db.session.commit()
        except IntegrityError:
            # Two first checks ended at the same time; the row of either is good.
            db.session.rollback()
        return found

    def accept(self, integration: str, other_instance: str) -> None:
        """Count the links as made in the instance that ``other_instance`` identifies. The caller commits.

        Raises Conflict when the last check found another one, or none.
        """
        row, found = db.session.get(Instance, integration), self.other_instance(integration)
        if row is None or row.other is None or found is None or found.id != other_instance:
            raise Conflict(_("This is no longer what the last check found. Test the connection again."))
        _store(row, row.other)

    def _other_instance(self, integration: str, fingerprints: Mapping[str, str]) -> OtherInstance | None:
        links = db.session.scalar(select(func.count()).select_from(Link).where(Link.integration == integration)) or 0
        return OtherInstance(links, _digest("\n".join(fingerprints.values()))[:16]) if links else None


def differs(known: Mapping[str, str], fingerprints: Mapping[str, str]) -> bool:
    """Compare the first fingerprint that both have, the most reliable one. Without one, nothing differs."""
    name = next((name for name in fingerprints if name in known), None)
    return name is not None and fingerprints[name] != known[name]


def _store(row: Instance, fingerprints: Mapping[str, str]) -> None:
    """Store ``fingerprints``, beside earlier ones of the same instance."""
    earlier = {} if differs(row.marks, fingerprints) else row.marks
    if {**earlier, **fingerprints} != row.marks:
        row.marks, row.known_at = {**earlier, **fingerprints}, now()
    if row.other is not None:
        row.other = None


def _fingerprints(integration: str, facts: Mapping[str, str]) -> dict[str, str]:
    return {name: _digest(f"{integration}\n{name}\n{value}") for name, value in facts.items() if value}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
