"""OpenProject's resources as HAL documents for one user: what the user may not see or do is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from markupsafe import escape

from panel.sandbox.openproject_errors import ApiError
from panel.sandbox.openproject_query import Page
from panel.sandbox.openproject_state import (
    ANONYMOUS,
    UPDATING,
    CustomField,
    Principal,
    Priority,
    Profile,
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
        if not self.world.sees_project(self.user, project):
            return {
                "href": UNDISCLOSED,
                "title": "Undisclosed - The project is invisible because of lacking permissions.",
            }
        return self.resource_link(self.project_namespace(project), project)

    def project_namespace(self, project: Project) -> str:
        return project.kind if self.profile.workspaces else "projects"

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
        links = {
            "self": self.link(""),
            "configuration": self.link("/configuration"),
            "priorities": self.link("/priorities"),
            "relations": self.link("/relations"),
            "statuses": self.link("/statuses"),
            "time_entries": self.link("/time_entries"),
            "types": self.link("/types"),
            "workPackages": self.link("/work_packages"),
        }
        if self.user is not ANONYMOUS:
            links["user"] = self.link(f"/users/{self.user.id}", self.user.name)
            links["userPreferences"] = self.link(f"/users/{self.user.id}/preferences")
        if self.world.may_anywhere(self.user, *Right):
            links["memberships"] = self.link("/memberships")
        version = {"coreVersion": self.profile.version} if self.user.admin else {}
        return {"_type": "Root", "instanceName": "OpenProject", **version, "_links": links}

    def principal(self, person: Principal) -> Document:
        """A user, group or placeholder user. Only the user and administrators see login, email and language."""
        path = f"/{person.kind}/{person.id}"
        links = {"self": self.link(path, person.name)}
        document: Document = {"_type": person.type_name, "id": person.id, "name": person.name}
        if person.kind != "users" or not (self.user.admin or self.user.id == person.id):
            return {**document, "_links": links}
        first, last = person.first_and_last
        return {
            **document, "login": person.login, "admin": person.admin, "firstName": first, "lastName": last,
            "email": f"{person.login}@example.org", "avatar": "", "language": person.language or "en",
            "status": "locked" if person.locked else "active", "identityUrl": None,
            "createdAt": "2026-01-05T08:00:00.000Z", "updatedAt": "2026-01-05T08:00:00.000Z", "_links": links,
        }  # fmt: skip

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
            "createdAt": "2026-01-05T08:00:00.000Z", "updatedAt": "2026-01-05T08:00:00.000Z",
            "_links": {"self": self.resource_link("types", one)},
        }  # fmt: skip

    def priority(self, one: Priority) -> Document:
        return {
            "_type": "Priority", "id": one.id, "name": one.name, "position": one.position, "color": one.color,
            "isDefault": one.is_default, "isActive": True, "_links": {"self": self.resource_link("priorities", one)},
        }  # fmt: skip

    def project(self, one: Project) -> Document:
        namespace = self.project_namespace(one)
        links = {
            "self": self.resource_link(namespace, one),
            "workPackages": self.link(f"/projects/{one.id}/work_packages"),
            "types": self.link(f"/projects/{one.id}/types"),
        }
        if Right.ADD in self.world.rights(self.user, one.id):
            links["createWorkPackage"] = self.link(f"/projects/{one.id}/work_packages/form", method="post")
            links["createWorkPackageImmediately"] = self.link(f"/projects/{one.id}/work_packages", method="post")
        return {
            "_type": {"portfolios": "Portfolio", "programs": "Program"}.get(namespace, "Project"),
            "id": one.id, "identifier": one.identifier, "name": one.name, "active": True, "public": one.public,
            "description": self.formatted(""), "createdAt": "2026-01-05T08:00:00.000Z",
            "updatedAt": "2026-01-05T08:00:00.000Z", "_links": links,
        }  # fmt: skip

    def formatted(self, raw: str | None) -> Document:
        html = f'<p class="op-uc-p">{escape(raw)}</p>' if raw else ""
        return {"format": "markdown", "raw": raw, "html": html}

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

    def work_packages(
        self, path: str, rows: Sequence[WorkPackage], *, total: int, page: Page, params: Mapping[str, str],
        project: Project | None,
    ) -> Document:  # fmt: skip
        elements = [self.work_package(row) for row in rows]
        document = self.paginated(path, elements, total=total, page=page, params=params)
        links = document["_links"]
        if self._has_right(Right.ADD, project):
            links["createWorkPackage"] = self.link("/work_packages/form", method="post")
            links["createWorkPackageImmediate"] = self.link("/work_packages", method="post")
        if self._has_right(Right.EDIT, project):
            links["editWorkPackage"] = self.link("/work_packages/{work_package_id}/form", method="post", templated=True)
        pairs = sorted({(row.project_id, row.type_id) for row in rows})
        if pairs:
            schemas = [self.schema(project_id, type_id) for project_id, type_id in pairs]
            links["schemas"] = self.link("/work_packages/schemas")
            document["_embedded"]["schemas"] = self.collection("/work_packages/schemas", schemas)
        links["representations"] = []
        return {**document, "_type": "WorkPackageCollection"}

    def _has_right(self, right: Right, project: Project | None) -> bool:
        if project is None:
            return self.world.may_anywhere(self.user, right)
        return right in self.world.rights(self.user, project.id)

    # --- work package --------------------------------------------------------------------------------------

    def work_package(self, one: WorkPackage, *, embed: bool = False) -> Document:
        """An element of a list, or with ``embed`` the single resource with embedded status, type and users."""
        document: Document = {"_type": "WorkPackage", "id": one.id}
        if self.profile.display_ids:
            document["displayId"] = self.world.semantic_id(one) if self.semantic_display_ids else str(one.id)
        document |= {
            "lockVersion": one.lock_version, "subject": one.subject, "description": self.formatted(one.description),
            "scheduleManually": True, **self._dates(one), "estimatedTime": None, "derivedEstimatedTime": None,
            "ignoreNonWorkingDays": False, "percentageDone": None, "derivedPercentageDone": None,
            "createdAt": iso_time(one.created_at), "updatedAt": iso_time(one.updated_at), **self._custom_texts(one),
        }  # fmt: skip
        if embed:
            document["_embedded"] = self._embedded(one)
        return {**document, "_links": self._links(one)}

    def _dates(self, one: WorkPackage) -> Document:
        start, due = (day.isoformat() if day else None for day in (one.start_date, one.due_date))
        kind = self.world.types.get(one.type_id)
        if kind and kind.is_milestone:
            return {"date": due}
        return {"startDate": start, "dueDate": due, "derivedStartDate": None, "derivedDueDate": None, "duration": None}

    def _custom_fields(self, one: WorkPackage) -> list[CustomField]:
        return self.world.custom_fields_of(one.project_id, one.type_id)

    def _custom_texts(self, one: WorkPackage) -> Document:
        return {field.key: one.custom.get(field.id) for field in self._custom_fields(one) if not field.options}

    def option_link(self, field: CustomField, chosen: str | None) -> Document:
        if not chosen:
            return {"href": None, "title": None}
        return self.link(f"/custom_options/{chosen}", field.options.get(int(chosen)))

    def value_links(self, one: WorkPackage) -> Document:
        """The links that hold values of the work package. The payload of a form contains the same links."""
        world = self.world
        list_fields = [field for field in self._custom_fields(one) if field.options]
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
        world, project = self.world, self.world.projects[one.project_id]
        embedded = {
            "status": self.status(world.statuses[one.status_id]),
            "type": self.type(world.types[one.type_id]),
            "priority": self.priority(world.priorities[one.priority_id]),
        }
        if world.sees_project(self.user, project):
            embedded["project"] = self.project(project)
        people = {"author": one.author_id, "assignee": one.assignee_id, "responsible": one.responsible_id}
        known = {role: world.principals[number] for role, number in people.items() if number in world.principals}
        return embedded | {role: self.principal(person) for role, person in known.items()}

    # --- schema and form -----------------------------------------------------------------------------------

    def schema(self, project_id: int, type_id: int) -> Document:
        """The schema of a project and type, without allowed values (those are in a form's schema)."""
        path = f"/work_packages/schemas/{project_id}-{type_id}"
        return self._schema(project_id, type_id, None) | {"_links": {"self": self.link(path)}}

    def _schema(self, project_id: int, type_id: int, writable: frozenset[str] | None) -> Document:
        def attribute(key: str, kind: str, name: str, *, required: bool, **more: Any) -> Document:
            granted = writable is None or key in writable
            return {"type": kind, "name": name, "required": required, "hasDefault": False, "writable": granted, **more}

        linked: Document = {"location": "_links"}
        defaulted: Document = {**linked, "hasDefault": True}
        fixed: Document = {"required": True, "writable": False, "hasDefault": False}
        custom_attributes = {
            field.key: attribute(
                field.key, "CustomOption" if field.options else "String", field.name, required=field.required,
                **(linked if field.options else {}),
            )
            for field in self.world.custom_fields_of(project_id, type_id)
        }  # fmt: skip
        return {
            "_type": "Schema", "_dependencies": [],
            "lockVersion": {"type": "Integer", "name": "Lock version", **fixed},
            "id": {"type": "Integer", "name": "ID", **fixed},
            "subject": attribute("subject", "String", "Subject", required=True, minLength=1, maxLength=255),
            "description": attribute("description", "Formattable", "Description", required=False),
            "startDate": attribute("startDate", "Date", "Start date", required=False),
            "dueDate": attribute("dueDate", "Date", "Finish date", required=False),
            "createdAt": {"type": "DateTime", "name": "Created on", **fixed},
            "updatedAt": {"type": "DateTime", "name": "Updated on", **fixed},
            "author": {"type": "User", "name": "Author", **fixed, **linked},
            "project": attribute("project", "Project", "Project", required=True, **linked),
            "type": attribute("type", "Type", "Type", required=True, **linked),
            "status": attribute("status", "Status", "Status", required=True, **defaulted),
            "priority": attribute("priority", "Priority", "Priority", required=True, **defaulted),
            "assignee": attribute("assignee", "User", "Assignee", required=False, **linked),
            "responsible": attribute("responsible", "User", "Accountable", required=False, **linked),
            "parent": attribute("parent", "WorkPackage", "Parent", required=False, **linked),
            **custom_attributes,
        }  # fmt: skip

    def form(
        self, path: str, candidate: WorkPackage, statuses: Sequence[Status], errors: Sequence[ApiError], *, new: bool
    ) -> Document:
        """A form for a candidate: its payload, its schema with allowed values, and its validation errors."""
        can_edit = new or Right.EDIT in self.world.rights_in(self.user, candidate)
        schema = self._schema(candidate.project_id, candidate.type_id, None if can_edit else WRITABLE_BY_STATUS_CHANGE)
        self._add_allowed_values(schema, candidate, statuses)
        parent_path = f"/projects/{candidate.project_id}" if new else f"/work_packages/{candidate.id}"
        schema["project"]["_links"] = {"allowedValues": self.link("/work_packages/available_projects")}
        if candidate.project_id in self.world.projects:
            for role in ("assignee", "responsible"):
                schema[role]["_links"] = {"allowedValues": self.link(f"{parent_path}/available_assignees")}
        return {
            "_type": "Form",
            "_embedded": {
                "payload": self._payload(candidate, new=new), "schema": schema,
                "validationErrors": {(error.details or {})["attribute"]: error.body(self.language) for error in errors},
            },
            "_links": self._form_links(path, candidate, valid=not errors, new=new),
        }  # fmt: skip

    def _add_allowed_values(self, schema: Document, candidate: WorkPackage, statuses: Sequence[Status]) -> None:
        world = self.world
        priorities = sorted(world.priorities.values(), key=lambda one: one.position)
        types = world.types_of(candidate.project_id)
        allowed: dict[str, list[tuple[Document, Document]]] = {
            "status": [(self.resource_link("statuses", one), self.status(one)) for one in statuses],
            "type": [(self.resource_link("types", one), self.type(one)) for one in types],
            "priority": [(self.resource_link("priorities", one), self.priority(one)) for one in priorities],
        }
        for field in self._custom_fields(candidate):
            if field.options:
                allowed[field.key] = [self._option(field, number) for number in field.options]
        for key, choices in allowed.items():
            self._set_allowed_values(schema[key], choices)

    def _option(self, field: CustomField, number: int) -> tuple[Document, Document]:
        link = self.option_link(field, str(number))
        return link, {"_type": "CustomOption", "id": number, "value": field.options[number], "_links": {"self": link}}

    def _set_allowed_values(self, attribute: Document, choices: Sequence[tuple[Document, Document]]) -> None:
        if self.offers in ("both", "linked"):
            attribute["_links"] = {"allowedValues": [link for link, _ in choices]}
        if self.offers in ("both", "embedded"):
            attribute["_embedded"] = {"allowedValues": [resource for _, resource in choices]}

    def _payload(self, candidate: WorkPackage, *, new: bool) -> Document:
        dates = {key: value for key, value in self._dates(candidate).items() if key in ("date", "startDate", "dueDate")}
        lock = {} if new else {"lockVersion": candidate.lock_version}
        return {
            **lock, "subject": candidate.subject, "description": self.formatted(candidate.description), **dates,
            **self._custom_texts(candidate), "_links": self.value_links(candidate),
        }  # fmt: skip

    def _form_links(self, path: str, candidate: WorkPackage, *, valid: bool, new: bool) -> Document:
        links = {"self": self.link(path, method="post"), "validate": self.link(path, method="post")}
        if valid:
            target = "/work_packages" if new else f"/work_packages/{candidate.id}"
            links["commit"] = self.link(target, method="post" if new else "patch")
        return links
