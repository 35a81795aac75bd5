"""OpenProject's resources as HAL documents for one user: what the user may not see or do is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from markupsafe import escape

from panel.sandbox.openproject_profiles import Profile
from panel.sandbox.openproject_query import Page
from panel.sandbox.openproject_state import (
    ANONYMOUS,
    UPDATING,
    CustomField,
    Principal,
    Priority,
    Project,
    Right,
    Status,
    Type,
    WorkPackage,
    World,
)

Document = dict[str, Any]
Offers = Literal["both", "embedded", "linked"]
UNDISCLOSED = "urn:openproject-org:api:v3:undisclosed"
WRITABLE_BY_STATUS_CHANGE = frozenset({"status"})
INSTALLED = "2026-01-05T08:00:00.000Z"
"""When accounts, types and projects were made."""


def iso_time(timestamp: datetime) -> str:
    return timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Hal:
    """Builds documents. ``prefix`` is the path that the instance is mounted at; every href starts with it."""

    world: World
    user: Principal
    profile: Profile
    prefix: str
    language: str
    semantic_display_ids: bool
    offers: Offers
    """Where a form's schema lists allowed values."""

    # --- links ---------------------------------------------------------------------------------------------

    def href(self, path: str) -> str:
        return f"{self.prefix}/api/v3{path}"

    def link(self, path: str, title: str | None = None, **more: Any) -> Document:
        optional_title = {} if title is None else {"title": title}
        return {"href": self.href(path), **optional_title, **more}

    def resource_link(self, namespace: str, resource: Status | Type | Priority | Project | Principal) -> Document:
        return self.link(f"/{namespace}/{resource.id}", resource.name)

    def project_link(self, project: Project | None) -> Document:
        if project is None:
            return {"href": None}
        return self.resource_link(self.project_namespace(project), project)

    def project_namespace(self, project: Project) -> str:
        return project.kind if self.profile.workspaces else "projects"

    def below_project(self, number: int, name: str) -> str:
        """Return the path of a list that belongs to a project."""
        return f"/{'workspaces' if self.profile.workspaces else 'projects'}/{number}/{name}"

    def principal_link(self, number: int | None) -> Document:
        person = self.world.principals.get(number or 0)
        return self.resource_link(person.kind, person) if person else {"href": None}

    def parent_link(self, number: int | None) -> Document:
        if number is None:
            return {"href": None, "title": None}
        parent = self.world.sees(self.user, number)
        if parent:
            return self.link(f"/work_packages/{parent.id}", parent.subject)
        return {
            "href": UNDISCLOSED,
            "title": "Undisclosed - The selected parent is invisible because of lacking permissions.",
        }

    # --- small resources -----------------------------------------------------------------------------------

    def root(self) -> Document:
        """The root of the API. Only administrators see the version."""
        known = self.user is not ANONYMOUS
        links = {
            "self": self.link(""),
            "configuration": self.link("/configuration"),
            "priorities": self.link("/priorities"),
            "relations": self.link("/relations"),
            "statuses": self.link("/statuses"),
            "time_entries": self.link("/time_entries"),
            "types": self.link("/types"),
            "userPreferences": self.link(f"/users/{self.user.id}/preferences"),
            "workPackages": self.link("/work_packages"),
        }
        if known:
            links["user"] = self.link(f"/users/{self.user.id}", self.user.name)
        if known and self.world.may_anywhere(self.user, *Right):
            links["memberships"] = self.link("/memberships")
        version = {"coreVersion": self.profile.version} if self.user.admin else {}
        return {"_type": "Root", "instanceName": "OpenProject", **version, "_links": links}

    def principal(self, person: Principal) -> Document:
        """A user, group or placeholder user. Only the user and administrators see login, email and language."""
        links = {"self": self.link(f"/{person.kind}/{person.id}", person.name)}
        document: Document = {"_type": person.type_name, "id": person.id, "name": person.name}
        if person.kind != "users" or not (self.user.admin or self.user.id == person.id):
            return {**document, "_links": links}
        first, last = person.first_and_last
        return {
            **document, "login": person.login, "firstName": first, "lastName": last, "avatar": None,
            "language": person.language or "en", "status": "locked" if person.locked else "active",
            "identityUrl": None, "createdAt": INSTALLED, "updatedAt": INSTALLED, **self._known_only(person),
            "_links": links,
        }  # fmt: skip

    def _known_only(self, person: Principal) -> Document:
        """What the anonymous user does not have."""
        if person is ANONYMOUS:
            return {"language": ""}
        admin = {"admin": person.admin} if self.user.admin else {}
        return {"email": f"{person.login}@example.org", "avatar": "", **admin}

    def status(self, one: Status) -> Document:
        return {
            "_type": "Status", "id": one.id, "name": one.name, "isClosed": one.is_closed, "color": one.color,
            "isDefault": one.is_default, "isReadonly": False, "excludedFromTotals": False, "defaultDoneRatio": None,
            "position": one.position, "_links": {"self": self.resource_link("statuses", one)},
        }  # fmt: skip

    def type(self, one: Type) -> Document:
        return {
            "_type": "Type", "id": one.id, "name": one.name, "color": one.color, "position": one.position,
            "isDefault": one.is_default, "isMilestone": one.is_milestone,
            "createdAt": INSTALLED, "updatedAt": INSTALLED,
            "_links": {"self": self.resource_link("types", one)},
        }  # fmt: skip

    def priority(self, one: Priority) -> Document:
        return {
            "_type": "Priority", "id": one.id, "name": one.name, "position": one.position, "color": one.color,
            "isDefault": one.is_default, "isActive": True, "_links": {"self": self.resource_link("priorities", one)},
        }  # fmt: skip

    def project(self, one: Project) -> Document:
        """A project. One that is visible only because of a shared work package has no lists and no description."""
        namespace = self.project_namespace(one)
        opened = self.world.opens_project(self.user, one)
        kind = {"portfolios": "Portfolio", "programs": "Program"}.get(namespace, "Project")
        description = {"description": self.formatted("")} if opened else {}
        lists = self._project_links(one) if opened else {}
        return {
            "_type": kind, "id": one.id, "identifier": one.identifier, "name": one.name, "active": True,
            "public": one.public, **description, "createdAt": INSTALLED, "updatedAt": INSTALLED,
            "_links": {"self": self.resource_link(namespace, one), **lists},
        }  # fmt: skip

    def _project_links(self, one: Project) -> Document:
        work_packages = self.below_project(one.id, "work_packages")
        links = {
            "workPackages": self.link(work_packages),
            "types": self.link(self.below_project(one.id, "types")),
        }
        if Right.ADD in self.world.rights(self.user, one.id):
            links["createWorkPackage"] = self.link(f"{work_packages}/form", method="post")
            links["createWorkPackageImmediately"] = self.link(work_packages, method="post")
        return links

    def formatted(self, raw: str | None) -> Document:
        html = f'<p class="op-uc-p">{escape(raw)}</p>' if raw else ""
        return {"format": "markdown", "raw": raw or "", "html": html}

    # --- collections ---------------------------------------------------------------------------------------

    def collection(self, path: str, elements: Sequence[Document]) -> Document:
        return {
            "_type": "Collection", "total": len(elements), "count": len(elements),
            "_embedded": {"elements": list(elements)}, "_links": {"self": self.link(path)},
        }  # fmt: skip

    def paginated(
        self, path: str, elements: Sequence[Document], *, total: int, page: Page, params: Mapping[str, str]
    ) -> Document:
        """One page of a collection. ``nextByOffset`` is present if this page does not reach the total."""

        def page_href(offset: object, size: object) -> str:
            return self.href(path) + "?" + urlencode(sorted({**params, "offset": offset, "pageSize": size}.items()))

        links: Document = {
            "self": {"href": page_href(page.offset, page.size)},
            "jumpTo": {"href": page_href("{offset}", page.size), "templated": True},
            "changeSize": {"href": page_href(page.offset, "{size}"), "templated": True},
        }
        if page.offset * page.size < total:
            links["nextByOffset"] = {"href": page_href(page.offset + 1, page.size)}
        if page.offset > 1:
            links["previousByOffset"] = {"href": page_href(page.offset - 1, page.size)}
        return {
            "_type": "Collection", "total": total, "count": len(elements), "pageSize": page.size,
            "offset": page.offset, "_embedded": {"elements": list(elements)}, "_links": links,
        }  # fmt: skip

    # --- work package --------------------------------------------------------------------------------------

    def work_package(self, one: WorkPackage, *, embed: bool = False) -> Document:
        """An element of a list, or with ``embed`` the single resource with embedded status, type and users."""
        document: Document = {"_type": "WorkPackage", "id": one.id}
        if self.profile.display_ids:
            document["displayId"] = self.world.semantic_id(one) if self.semantic_display_ids else str(one.id)
        document |= {
            "lockVersion": one.lock_version, "subject": one.subject, "description": self.formatted(one.description),
            "scheduleManually": True, **self.dates(one), "estimatedTime": None, "derivedEstimatedTime": None,
            "ignoreNonWorkingDays": False, "percentageDone": None, "derivedPercentageDone": None,
            "createdAt": iso_time(one.created_at), "updatedAt": iso_time(one.updated_at), **self.custom_texts(one),
        }  # fmt: skip
        if embed:
            document["_embedded"] = self._embedded(one)
        return {**document, "_links": self._links(one)}

    def dates(self, one: WorkPackage) -> Document:
        start, due = (day.isoformat() if day else None for day in (one.start_date, one.due_date))
        kind = self.world.types.get(one.type_id)
        if kind and kind.is_milestone:
            return {"date": due}
        return {"startDate": start, "dueDate": due, "derivedStartDate": None, "derivedDueDate": None, "duration": None}

    def custom_fields(self, one: WorkPackage) -> list[CustomField]:
        return self.world.custom_fields_of(one.project_id, one.type_id)

    def custom_texts(self, one: WorkPackage) -> Document:
        fields = [field for field in self.custom_fields(one) if not field.is_link]
        return {field.key: self._custom_value(field, one.custom.get(field.id)) for field in fields}

    def _custom_value(self, field: CustomField, text: str | None) -> Any:
        if field.kind == "Formattable":
            return self.formatted(text)
        return int(text) if field.kind == "Integer" and text else text

    def option_link(self, field: CustomField, chosen: str | None) -> Document:
        if not chosen:
            return {"href": None, "title": None}
        if field.kind == "User":
            return self.principal_link(int(chosen))
        return self.link(f"/custom_options/{chosen}", field.options.get(int(chosen)))

    def value_links(self, one: WorkPackage) -> Document:
        """The links that hold values of the work package. The payload of a form contains the same links."""
        world = self.world
        list_fields = [field for field in self.custom_fields(one) if field.is_link]
        return {
            "project": self.project_link(world.projects.get(one.project_id)),
            "type": self._link_or_null("types", world.types.get(one.type_id)),
            "status": self._link_or_null("statuses", world.statuses.get(one.status_id)),
            "priority": self._link_or_null("priorities", world.priorities.get(one.priority_id)),
            "assignee": self.principal_link(one.assignee_id),
            "responsible": self.principal_link(one.responsible_id),
            "parent": self.parent_link(one.parent_id),
            "version": {"href": None}, "category": {"href": None},
            **{field.key: self.option_link(field, one.custom.get(field.id)) for field in list_fields},
        }  # fmt: skip

    def _link_or_null(self, namespace: str, resource: Status | Type | Priority | None) -> Document:
        return self.resource_link(namespace, resource) if resource else {"href": None}

    def _links(self, one: WorkPackage) -> Document:
        path, rights = f"/work_packages/{one.id}", self.world.rights_in(self.user, one)
        links: Document = {
            "self": self.link(path, one.subject),
            "schema": self.link(f"/work_packages/schemas/{one.project_id}-{one.type_id}"),
            "activities": self.link(f"{path}/activities"),
            "relations": self.link(f"{path}/relations"),
        }
        if rights & UPDATING:
            links["update"] = self.link(f"{path}/form", method="post")
            links["updateImmediately"] = self.link(path, method="patch")
        if Right.DELETE in rights:
            links["delete"] = self.link(path, method="delete")
        parent = self.world.sees(self.user, one.parent_id)
        ancestors = [self.link(f"/work_packages/{parent.id}", parent.subject)] if parent else []
        return {**links, **self.value_links(one), "author": self.principal_link(one.author_id), "ancestors": ancestors}

    def _embedded(self, one: WorkPackage) -> Document:
        world = self.world
        embedded = {
            "status": self.status(world.statuses[one.status_id]),
            "type": self.type(world.types[one.type_id]),
            "priority": self.priority(world.priorities[one.priority_id]),
            "project": self.project(world.projects[one.project_id]),
        }
        people = {"author": one.author_id, "assignee": one.assignee_id, "responsible": one.responsible_id}
        known = {role: world.principals[number] for role, number in people.items() if number in world.principals}
        return embedded | {role: self.principal(person) for role, person in known.items()}
