"""Parameters of a work package list: ``filters``, ``sortBy``, paging and ``eprops``."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from panel.sandbox.openproject_errors import ApiError, bad_request, invalid_query, one_or_many
from panel.sandbox.openproject_profiles import Profile
from panel.sandbox.openproject_state import Principal, WorkPackage, World

T = TypeVar("T")

OPEN_ONLY = '[{"status":{"operator":"o","values":[]}}]'
"""The default of ``filters``."""

OPERATORS: dict[str, tuple[str, ...]] = {
    "id": ("=", "!"),
    "status": ("o", "=", "c", "!", "*"),
    "project": ("=", "!"),
    "type": ("=", "!"),
    "priority": ("=", "!"),
    "assignee": ("=", "!", "*", "!*"),
    "author": ("=", "!"),
    "subject": ("~", "!~", "**"),
    "typeahead": ("**",),
    "subject_or_id": ("**",),
    "search": ("**",),
    "updated_at": ("<>d",),
}
WITHOUT_VALUES = frozenset({"o", "c", "*", "!*"})
FILTER_LABELS = {"id": "Id", "subject_or_id": "Subject or ID", "search": "Search", "updated_at": "Updated on"}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. ``name`` is normalised, ``raw_name`` is the name that the client sent."""

    name: str
    raw_name: str
    operator: str
    values: tuple[str, ...]

    def label(self, profile: Profile) -> str:
        """Return the name in messages."""
        if self.name == "typeahead":
            return profile.typeahead_label
        return FILTER_LABELS.get(self.name, self.name if self.name in OPERATORS else self.raw_name.capitalize())


@dataclass(frozen=True)
class Scope:
    """The user and the project that a query is evaluated for; ``project_id=None`` means all projects."""

    world: World
    user: Principal
    profile: Profile
    project_id: int | None = None

    @cached_property
    def visible(self) -> list[WorkPackage]:
        return self.world.visible(self.user, self.project_id)

    def allowed(self, name: str) -> set[str] | None:
        """Return the values that a list filter accepts, as text; ``None`` for a text filter."""
        world = self.world
        sources: dict[str, Callable[[], Iterable[int]]] = {
            "id": lambda: (one.id for one in self.visible),
            "status": lambda: world.statuses,
            "project": lambda: (one.id for one in world.projects.values() if world.sees_project(self.user, one)),
            "type": lambda: world.types,
            "priority": lambda: world.priorities,
            "assignee": lambda: world.principals,
            "author": lambda: world.principals,
        }
        if name not in sources:
            return None
        allowed = {str(number) for number in sources[name]()}
        return allowed | {"me"} if name in ("assignee", "author") else allowed


# --- parameters ------------------------------------------------------------------------------------------------


def unpacked(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters, overridden by those inside ``eprops`` (base64 of deflated JSON). Raises BadRequest."""
    if "eprops" not in params:
        return dict(params)
    try:
        packed = base64.urlsafe_b64decode(params["eprops"].replace("+", "-").replace("/", "_"))
        props = json.loads(_inflated(packed))
    except (ValueError, zlib.error) as exc:
        raise bad_request("eprops") from exc
    if not isinstance(props, dict):
        raise bad_request("eprops")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in props.items()}
    return {key: value for key, value in params.items() if key != "eprops"} | texts


def _inflated(packed: bytes, limit: int = 10_000_000) -> bytes:
    inflater = zlib.decompressobj()
    raw = inflater.decompress(packed, limit)
    if not inflater.eof:
        raise ValueError("too long or cut off")
    return raw


def to_i(text: str) -> int:
    """Parse a number like Ruby's ``to_i``: leading digits count, anything else is 0."""
    match = re.match(r"\s*([+-]?[0-9]+)", text)
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Page:
    """``offset`` is a page number from 1, not a row offset."""

    offset: int
    size: int

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        return rows[(self.offset - 1) * self.size : self.offset * self.size]


def page_of(params: Mapping[str, str], *, default: int, maximum: int, clamp: bool = True) -> Page:
    """Return the requested page. A size above the maximum is clamped; 0 and non-numbers give a page without rows."""
    offset = max(to_i(params.get("offset", "1")), 1)
    size = to_i(params["pageSize"]) if "pageSize" in params else default
    if not clamp:
        return Page(offset, size)
    if size == -1:
        return Page(offset, maximum)
    return Page(offset, min(max(size, 0), maximum))


# --- filters ---------------------------------------------------------------------------------------------------


def normalised(name: str) -> str:
    """Return the same name for ``status``, ``statusId`` and ``status_id``."""
    snake = re.sub("([A-Z])", r"_\1", name).lower()
    short = snake if snake == "subject_or_id" else snake.removesuffix("_id")
    return "assignee" if short == "assigned_to" else short


def parse_array(text: str) -> list[Any]:
    """Parse a JSON array in a parameter. Raises InvalidQuery with the parser's message."""
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise invalid_query("plain", text=f"unexpected token at '{text}'") from exc
    if not isinstance(value, list):
        raise invalid_query("plain", text="a JSON array was expected")
    return value


def parse_filters(text: str) -> list[Filter]:
    return [_filter(entry) for entry in parse_array(text)]


def _filter(entry: Any) -> Filter:
    if not isinstance(entry, dict) or not entry:
        raise invalid_query("unknown-filter", attribute=str(entry))
    raw_name, condition = next(iter(entry.items()))
    if not isinstance(condition, dict):
        raise invalid_query("filter-operator", attribute=raw_name.capitalize())
    values = condition.get("values")
    listed = values if isinstance(values, list) else [] if values is None else [values]
    texts = tuple(value if isinstance(value, str) else json.dumps(value) for value in listed)
    return Filter(normalised(raw_name), raw_name, str(condition.get("operator")), texts)


def error_of(one: Filter, scope: Scope) -> ApiError | None:
    """Return the error of a filter, or ``None``. One invalid value fails a list filter; the error does not name it."""
    label = one.label(scope.profile)
    if one.name not in OPERATORS:
        return invalid_query("unknown-filter", attribute=label)
    if one.operator not in OPERATORS[one.name]:
        return invalid_query("filter-operator", attribute=label)
    if one.operator in WITHOUT_VALUES:
        return None
    if not any(value.strip() for value in one.values):
        return invalid_query("blank", attribute=label)
    if one.name == "updated_at" and not _are_moments(one.values):
        return invalid_query("filter-values", attribute=label)
    allowed = scope.allowed(one.name)
    if allowed is not None and not set(one.values) <= allowed:
        return invalid_query("filter-values", attribute=label)
    return None


def _are_moments(values: Sequence[str]) -> bool:
    """Whether the values are the two ends of a range; an end can be empty."""
    try:
        return len([_moment(value) for value in values]) == 2
    except ValueError:
        return False


def _moment(text: str) -> datetime | None:
    """Parse an end of a range; ``None`` is an open end. Raises ValueError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _in_range(moment: datetime, values: Sequence[str]) -> bool:
    start, end = (_moment(value) for value in values)
    return (start is None or moment >= start) and (end is None or moment <= end)


def valid_subset_of(filters: Sequence[Filter], scope: Scope) -> list[Filter]:
    """Apply ``valid_subset``: drop invalid values, and drop a filter that has no valid value left."""
    valid = []
    for one in filters:
        allowed = scope.allowed(one.name)
        part = one if allowed is None else replace(one, values=tuple(value for value in one.values if value in allowed))
        if error_of(part, scope) is None:
            valid.append(part)
    return valid


def matches(one: Filter, work_package: WorkPackage, scope: Scope) -> bool:
    if one.name == "status" and one.operator in ("o", "c", "*"):
        closed = scope.world.statuses[work_package.status_id].is_closed
        return one.operator == "*" or closed == (one.operator == "c")
    if one.name == "assignee" and one.operator in ("*", "!*"):
        return (work_package.assignee_id is not None) == (one.operator == "*")
    if one.name in ("subject", "typeahead", "subject_or_id", "search"):
        return _matches_words(one, work_package, scope)
    if one.name == "updated_at":
        return _in_range(work_package.updated_at, one.values)
    values = {str(scope.user.id) if value == "me" else value for value in one.values}
    return (_value(one.name, work_package) in values) == (one.operator == "=")


def _value(name: str, work_package: WorkPackage) -> str:
    number = work_package.id if name == "id" else getattr(work_package, f"{name}_id")
    return str(number)


def _matches_words(one: Filter, work_package: WorkPackage, scope: Scope) -> bool:
    subject = work_package.subject.casefold()
    text = " ".join(one.values).strip()
    if one.operator in ("~", "!~"):
        return (text.casefold() in subject) == (one.operator == "~")
    words = text.casefold().split()
    if one.name == "typeahead":
        return all(_matches_typeahead(word, work_package, scope) for word in words)
    if one.name == "search":
        subject += "\n" + (work_package.description or "").casefold()
    found = all(word in subject for word in words)
    return found or (one.name == "subject_or_id" and text == str(work_package.id))


def _matches_typeahead(word: str, work_package: WorkPackage, scope: Scope) -> bool:
    """Whether a word occurs in subject, project name or id, and on newer servers in type or status."""
    world = scope.world
    texts = [work_package.subject, world.projects[work_package.project_id].name]
    if scope.profile.wide_typeahead:
        status = world.statuses[work_package.status_id]
        texts += [world.types[work_package.type_id].name, status.name]
        if word in ("open", "closed") and status.is_closed == (word == "closed"):
            return True
        if world.semantic_id(work_package).casefold().startswith(word):
            return True
    number = re.fullmatch("#?([0-9]+)", word)
    return any(word in text.casefold() for text in texts) or bool(number and number[1] in str(work_package.id))


# --- order -----------------------------------------------------------------------------------------------------


def _user_sort_key(world: World, number: int | None) -> tuple[str, str, int] | None:
    principal = world.principals.get(number or 0)
    if principal is None:
        return None
    first, last = principal.first_and_last
    return last, first, principal.id


SORTS: dict[str, Callable[[World, WorkPackage], Any]] = {
    "id": lambda _, one: one.id,
    "updated_at": lambda _, one: one.updated_at,
    "created_at": lambda _, one: one.created_at,
    "subject": lambda _, one: one.subject.casefold(),
    "start_date": lambda _, one: one.start_date,
    "due_date": lambda _, one: one.due_date,
    "project": lambda world, one: world.projects[one.project_id].name.casefold(),
    "assignee": lambda world, one: _user_sort_key(world, one.assignee_id),
    "author": lambda world, one: _user_sort_key(world, one.author_id),
    "status": lambda world, one: world.statuses[one.status_id].position,
    "type": lambda world, one: world.types[one.type_id].position,
    "priority": lambda world, one: world.priorities[one.priority_id].position,
}


def parse_sorts(text: str) -> list[tuple[str, bool]]:
    """Return pairs of column and "descending". ``["updatedAt","desc"]`` and ``"updatedAt:desc"`` are equivalent."""
    sorts = []
    for entry in parse_array(text):
        parts = entry.split(":") if isinstance(entry, str) else entry
        if not isinstance(parts, list) or not parts:
            raise invalid_query("sort-column", attribute=str(entry))
        sorts.append((normalised(str(parts[0])), str(parts[-1]).lower() == "desc"))
    return sorts


def in_order(world: World, rows: Iterable[WorkPackage], sorts: Sequence[tuple[str, bool]]) -> list[WorkPackage]:
    """Sort rows by the columns, then by id. Rows without a value come last in both directions."""
    ordered = sorted(rows, key=lambda one: one.id)
    for column, descending in reversed(sorts):
        keyed = [(SORTS[column](world, one), one) for one in ordered]
        filled = sorted((pair for pair in keyed if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
        ordered = [one for _, one in filled] + [one for key, one in keyed if key is None]
    return ordered


def found(params: Mapping[str, str], scope: Scope) -> list[WorkPackage]:
    """Return the matching work packages in the requested order. Raises InvalidQuery, or MultipleErrors."""
    filters = parse_filters(params.get("filters", params.get("filter", OPEN_ONLY)))
    sorts = parse_sorts(params.get("sortBy", "[]"))
    if scope.profile.valid_subset and params.get("valid_subset"):
        filters = valid_subset_of(filters, scope)
        sorts = [sort for sort in sorts if sort[0] in SORTS]
    errors = [error for error in (error_of(one, scope) for one in filters) if error]
    errors += [invalid_query("sort-column", attribute=column) for column, _ in sorts if column not in SORTS]
    if errors:
        raise one_or_many(errors)
    rows = [row for row in scope.visible if all(matches(one, row, scope) for one in filters)]
    return in_order(scope.world, rows, sorts)
