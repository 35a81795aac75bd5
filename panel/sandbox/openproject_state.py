"""In-memory state of the OpenProject stand-in: users, projects, work packages and permissions."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any


class Right(StrEnum):
    """The permissions that affect clients of work packages."""

    VIEW = "view_work_packages"
    ADD = "add_work_packages"
    EDIT = "edit_work_packages"
    CHANGE_STATUS = "change_work_package_status"
    ASSIGNABLE = "work_package_assigned"
    DELETE = "delete_work_packages"


MEMBER = frozenset({Right.VIEW, Right.ADD, Right.EDIT, Right.ASSIGNABLE})
UPDATING = frozenset({Right.EDIT, Right.CHANGE_STATUS})
"""PATCH requires at least one of them."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NOT_SET = 0
"""The id of a resource that a new work package does not have yet."""
UNKNOWN = -1
"""The id of a resource that was named but does not exist."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, group or placeholder user. ``kind`` is its namespace in API paths."""

    id: int
    name: str
    kind: str = "users"
    login: str = ""
    tokens: tuple[str, ...] = field(default=(), repr=False)
    admin: bool = False
    locked: bool = False
    language: str = ""
    """Empty: messages follow the request's Accept-Language."""

    @property
    def type_name(self) -> str:
        return {"users": "User", "groups": "Group", "placeholder_users": "PlaceholderUser"}[self.kind]

    @property
    def first_and_last(self) -> tuple[str, str]:
        first, _, last = self.name.partition(" ")
        return first, last


ANONYMOUS = Principal(2, "Anonymous")


@dataclass(frozen=True, slots=True)
class Project:
    """``kind`` is the namespace in links (portfolios and programs on newer servers); ``key`` prefixes semantic ids.

    Semantic ids with a former key stay valid.
    """

    id: int
    identifier: str
    name: str
    type_ids: tuple[int, ...]
    kind: str = "projects"
    public: bool = False
    key: str = ""
    former_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Type:
    id: int
    name: str
    color: str
    position: int
    is_default: bool = False
    is_milestone: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    id: int
    name: str
    color: str
    position: int
    is_closed: bool = False
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Priority:
    id: int
    name: str
    color: str
    position: int
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field of some projects and types: a list if it has ``options`` (id → value), otherwise of its ``kind``."""

    id: int
    name: str
    project_ids: frozenset[int]
    type_ids: frozenset[int]
    required: bool = True
    options: dict[int, str] = field(default_factory=dict)
    kind: str = "String"
    """The type in a schema: ``String``, ``Integer``, ``Float``, ``Boolean``, ``Date``, ``Formattable`` or ``User``."""

    @property
    def key(self) -> str:
        return f"customField{self.id}"

    @property
    def is_link(self) -> bool:
        return bool(self.options) or self.kind == "User"


@dataclass(frozen=True, slots=True)
class WorkPackage:
    """One version of a work package. A change creates a new instance."""

    id: int
    project_id: int
    type_id: int
    status_id: int
    priority_id: int
    author_id: int
    subject: str
    description: str | None = None
    assignee_id: int | None = None
    responsible_id: int | None = None
    parent_id: int | None = None
    start_date: date | None = None
    due_date: date | None = None
    lock_version: int = 0
    sequence: int = 0
    """Its number inside the project, for semantic ids."""
    created_at: datetime = LONG_AGO
    updated_at: datetime = LONG_AGO
    custom: dict[int, str] = field(default_factory=dict)
    """Custom field id → text, or the option's id as text for a list."""


class World:
    """The state of one stand-in. Callers hold ``lock`` while they build a response."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.principals: dict[int, Principal] = {}
        self.projects: dict[int, Project] = {}
        self.types: dict[int, Type] = {}
        self.statuses: dict[int, Status] = {}
        self.priorities: dict[int, Priority] = {}
        self.custom_fields: dict[int, CustomField] = {}
        self.memberships: dict[tuple[int, int], frozenset[Right]] = {}
        """(principal, project) → rights."""
        self.shares: dict[tuple[int, int], frozenset[Right]] = {}
        """(principal, work package) → rights in that single work package."""
        self.transitions: dict[int, frozenset[int]] = {}
        """Status → the statuses that the workflow allows next."""
        self.anonymous_rights = frozenset({Right.VIEW})
        """The rights in public projects of requests without an account."""
        self.non_member_rights = frozenset({Right.VIEW})
        """The rights in public projects of accounts that are no members."""
        self.work_packages: dict[int, WorkPackage] = {}
        self._last_id = 0
        self._sequences: Counter[int] = Counter()
        self._latest = LONG_AGO
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The clock of the server, from which the times of changes and the header ``Date`` come."""

    # --- changes -------------------------------------------------------------------------------------------

    def add(self, *resources: Principal | Project | Type | Status | Priority | CustomField) -> None:
        tables: dict[type, dict[int, Any]] = {
            Principal: self.principals, Project: self.projects, Type: self.types, Status: self.statuses,
            Priority: self.priorities, CustomField: self.custom_fields,
        }  # fmt: skip
        for resource in resources:
            tables[type(resource)][resource.id] = resource

    def join(self, principal_id: int, project_id: int, rights: Iterable[Right] = MEMBER) -> None:
        """Set the rights of a principal in a project."""
        self.memberships[principal_id, project_id] = frozenset(rights)

    def share(self, principal_id: int, work_package_id: int, rights: Iterable[Right] = (Right.VIEW,)) -> None:
        """Grant rights in one work package, independently of its project."""
        self.shares[principal_id, work_package_id] = frozenset(rights)

    def add_projects(self, count: int, member_id: int, name: str = "Dossier {n}") -> None:
        """Add projects with one member; ``{n}`` in the name becomes a number from 1."""
        first, types = max(self.projects, default=0) + 1, tuple(self.types)[:1]
        for number in range(1, count + 1):
            title = name.format(n=number)
            project = Project(first + number - 1, title.lower().replace(" ", "-"), title, types, key=f"D{number}")
            self.projects[project.id] = project
            self.memberships[member_id, project.id] = MEMBER

    def add_work_package(self, subject: str, project_id: int, **values: Any) -> WorkPackage:
        """Store a new work package; missing values are the instance's defaults."""
        number = values.pop("id", None) or self._last_id + 1
        self._last_id = max(self._last_id, number)
        self._sequences[project_id] += 1
        stamp = self.stamp()
        defaults: dict[str, Any] = {
            "type_id": self.first_type(project_id), "status_id": self.default_status().id,
            "priority_id": self.default_priority().id, "author_id": min(self.principals, default=NOT_SET),
            "created_at": stamp, "updated_at": values.get("created_at", stamp),
            "sequence": self._sequences[project_id],
        }  # fmt: skip
        created = WorkPackage(id=number, project_id=project_id, subject=subject, **{**defaults, **values})
        self.work_packages[number] = created
        return created

    def touch(self, work_package_id: int, **changes: Any) -> WorkPackage:
        """Change a work package as another user would; the lock version increases."""
        old = self.work_packages[work_package_id]
        updated = {"lock_version": old.lock_version + 1, "updated_at": self.stamp(), **changes}
        self.work_packages[work_package_id] = replace(old, **updated)
        return self.work_packages[work_package_id]

    def stamp(self) -> datetime:
        """Return the current time in milliseconds, later than every previous stamp: sorting by it has no ties."""
        now = self.clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._latest = max(now, self._latest + timedelta(milliseconds=1))
        return self._latest

    # --- lookup --------------------------------------------------------------------------------------------

    def first_type(self, project_id: int) -> int:
        """Return the id of the project's first type, or NOT_SET."""
        types = self.types_of(project_id)
        return types[0].id if types else NOT_SET

    def types_of(self, project_id: int) -> list[Type]:
        project = self.projects.get(project_id)
        enabled = project.type_ids if project else ()
        return sorted((self.types[number] for number in enabled), key=lambda one: one.position)

    def default_status(self) -> Status:
        return next(status for status in self.statuses.values() if status.is_default)

    def default_priority(self) -> Priority:
        return next(priority for priority in self.priorities.values() if priority.is_default)

    def next_statuses(self, status_id: int) -> list[Status]:
        """Return the current status and those that the workflow allows next, by position."""
        allowed = {status_id, *self.transitions.get(status_id, ())}
        reachable = [self.statuses[number] for number in allowed if number in self.statuses]
        return sorted(reachable, key=lambda status: status.position)

    def custom_fields_of(self, project_id: int, type_id: int) -> list[CustomField]:
        fields = sorted(self.custom_fields.values(), key=lambda one: one.id)
        return [one for one in fields if project_id in one.project_ids and type_id in one.type_ids]

    def assignees(self, project_id: int) -> list[Principal]:
        members = [(member, rights) for (member, project), rights in self.memberships.items() if project == project_id]
        assignable = [self.principals[member] for member, rights in members if Right.ASSIGNABLE in rights]
        return sorted((one for one in assignable if not one.locked), key=lambda one: (one.name, one.id))

    def project(self, text: str) -> Project | None:
        """Find a project by its number or its identifier, regardless of visibility."""
        if re.fullmatch("[0-9]+", text):
            return self.projects.get(int(text))
        return next((project for project in self.projects.values() if project.identifier == text), None)

    # --- permissions ---------------------------------------------------------------------------------------

    def rights(self, user: Principal, project_id: int) -> frozenset[Right]:
        if user.admin:
            return frozenset(Right)
        if (user.id, project_id) in self.memberships:
            return self.memberships[user.id, project_id]
        if not self.projects[project_id].public:
            return frozenset()
        return self.anonymous_rights if user is ANONYMOUS else self.non_member_rights

    def rights_in(self, user: Principal, work_package: WorkPackage) -> frozenset[Right]:
        return self.rights(user, work_package.project_id) | self.shares.get((user.id, work_package.id), frozenset())

    def sees_project(self, user: Principal, project: Project) -> bool:
        """Whether the project is visible. A shared work package makes its project visible, but nothing else in it."""
        return self.opens_project(user, project) or project.id in self._projects_of_shares(user)

    def opens_project(self, user: Principal, project: Project) -> bool:
        return user.admin or project.public or (user.id, project.id) in self.memberships

    def _projects_of_shares(self, user: Principal) -> set[int]:
        shared = (number for principal_id, number in self.shares if principal_id == user.id)
        return {self.work_packages[number].project_id for number in shared if number in self.work_packages}

    def may_anywhere(self, user: Principal, *wanted: Right) -> bool:
        shared = (rights for (principal_id, _), rights in self.shares.items() if principal_id == user.id)
        held = frozenset[Right]().union(*(self.rights(user, number) for number in self.projects), *shared)
        return bool(held & set(wanted))

    def visible(self, user: Principal, project_id: int | None = None) -> list[WorkPackage]:
        """Return the work packages that a user sees, ordered by id."""
        readable = {number for number in self.projects if Right.VIEW in self.rights(user, number)}
        shared = {
            number for (principal_id, number), rights in self.shares.items()
            if principal_id == user.id and Right.VIEW in rights
        }  # fmt: skip
        return [
            one for number, one in sorted(self.work_packages.items())
            if (one.project_id in readable or number in shared) and project_id in (None, one.project_id)
        ]  # fmt: skip

    def sees(self, user: Principal, work_package_id: int | None) -> WorkPackage | None:
        """Return the work package, or ``None`` if it does not exist or the user may not see it."""
        found = self.work_packages.get(work_package_id or NOT_SET)
        return found if found and Right.VIEW in self.rights_in(user, found) else None

    def semantic_id(self, work_package: WorkPackage) -> str:
        return f"{self.projects[work_package.project_id].key}-{work_package.sequence}"

    def semantic_ids(self, work_package: WorkPackage) -> set[str]:
        """Return the semantic id and those with a former key of the project."""
        project = self.projects[work_package.project_id]
        return {f"{key}-{work_package.sequence}" for key in (project.key, *project.former_keys)}
