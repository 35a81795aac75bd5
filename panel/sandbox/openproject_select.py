"""The parameter ``select`` of a list: the parts of collection and elements that a client asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from panel.sandbox.openproject_errors import ApiError
from panel.sandbox.openproject_profiles import Profile

COLLECTION = (
    "*", "_type", "total", "count", "pageSize", "offset", "self", "jumpTo", "changeSize", "previousByOffset",
    "nextByOffset",
)  # fmt: skip
PROJECT = ("self", "ancestors", "_type", "id", "name", "identifier", "active", "public", "*")


def work_package_selects(profile: Profile) -> tuple[str, ...]:
    """Return the parts of a work package, in the order of the server's message."""
    rich = profile.selects_status_and_type
    links = ("self", "project", *(("status", "type") if rich else ()), "author", "assignee", "responsible")
    own = ("_type", "id", *(("displayId",) if rich else ()), "subject", "startDate", "dueDate", "date")
    return (*links, *own, "*")


@dataclass(frozen=True, slots=True)
class Select:
    """The selected parts of a list."""

    collection: frozenset[str]
    elements: frozenset[str]

    @classmethod
    def parse(cls, text: str, supported: tuple[str, ...]) -> Select:
        """Parse ``select``. Raises InvalidSignal, which names the unsupported and the supported parts."""
        requested = [part.strip() for part in text.split(",") if part.strip()]
        elements = [part.removeprefix("elements/") for part in requested if part.startswith("elements/")]
        collection = [part for part in requested if not part.startswith("elements/")]
        return cls(_checked(collection, COLLECTION), _checked(elements, supported))

    def reduced(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a list document reduced to the selected parts."""
        reduced_document = _only(document, self.collection)
        if self.elements:
            rows = document["_embedded"]["elements"]
            reduced_document["_embedded"] = {"elements": [_only(row, self.elements) for row in rows]}
        return reduced_document


def _checked(names: list[str], supported: tuple[str, ...]) -> frozenset[str]:
    unknown = [name for name in names if name not in supported]
    if unknown:
        texts = {"asked": ", ".join(unknown), "supported": ", ".join(supported)}
        raise ApiError(400, "InvalidSignal", "select", texts=texts)
    return frozenset(supported) if "*" in names else frozenset(names)


def _only(document: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    reduced_document = {key: value for key, value in document.items() if key in names}
    links = {key: value for key, value in document["_links"].items() if key in names}
    return reduced_document | {"_links": links} if links else reduced_document
