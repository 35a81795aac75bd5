"""GitLab: issues of its projects, over the REST API v4.

https://docs.gitlab.com/api/issues/. The reference of an issue is the one that GitLab shows: ``group/project#12``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from panel.connector import Answer, SourceConfig, Upstream, origin_of, unexpected
from panel.core.domain import Choice, Identity, Item
from panel.core.errors import Forbidden, InvalidInput, NotFound, Rejected, WrongHost
from panel.core.text import one_line
from panel.integrations.contract import Integration, creating

API = ("api", "v4")
PAGE_SIZE = 100
EXCERPT_LENGTH = 500
STATUSES = {"opened": Choice("opened", "Open", "#108548"), "closed": Choice("closed", "Closed", "#1f75cb")}

_REFERENCE = re.compile(r"(?P<project>[\w.-]+(?:/[\w.-]+)+)#(?P<number>[1-9][0-9]{0,17})", re.ASCII)
_PAGE = re.compile(r"/(?P<project>[^?#]+?)/-/(?:issues|work_items)/(?P<number>[1-9][0-9]{0,17})(?:/.*)?")
_HIDDEN = "GitLab does not show this issue to our account."
_NOT_CREATED = "GitLab did not accept this. Nothing was created."
_NOT_CHANGED = "GitLab did not accept this. Nothing was changed."
_REFUSALS = (400, 403, 404, 422)


class GitLab(Integration):
    # --- addresses -----------------------------------------------------------------------------------------------

    def instance_root(self, location: str) -> str:
        path = urlsplit(location).path
        cut = re.search(r"/api/v4(?=/|$)|/-/", path)
        return origin_of(location) + (path[: cut.start()] if cut else path).rstrip("/")

    def api_address(self, source: SourceConfig) -> str:
        return f"{source.root}/api/v4"

    def url_for(self, source: SourceConfig, reference: str) -> str:
        project, _, number = reference.rpartition("#")
        return f"{source.root}/{quote(project)}/-/issues/{quote(number)}"

    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        return "://" in text or _REFERENCE.fullmatch(text) is not None

    # --- connection ----------------------------------------------------------------------------------------------

    def check(self, upstream: Upstream) -> Identity:
        """https://docs.gitlab.com/api/users/"""
        user = upstream.get(*API, "user").object().get("username")
        if not isinstance(user, str):
            raise unexpected("GET /api/v4/user answered without a user.")
        return Identity(one_line(user), None)

    def probe_product(self, upstream: Upstream) -> str:
        """https://docs.gitlab.com/api/version/"""
        version = upstream.get(*API, "version").object().get("version")
        if not isinstance(version, str):
            raise unexpected("GET /api/v4/version answered without a version.")
        return one_line(version)

    def probe_identity(self, upstream: Upstream) -> Identity:
        return self.check(upstream)

    def probe_reading(self, upstream: Upstream) -> str:
        projects = _projects(upstream)
        return f"This account is a member of {len(projects)} project{'' if len(projects) == 1 else 's'}."

    # --- reading -------------------------------------------------------------------------------------------------

    def resolve(self, upstream: Upstream, text: str) -> Item:
        return self.fetch(upstream, _reference_in(text.strip(), upstream.source.root))

    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        """https://docs.gitlab.com/api/issues/#single-project-issue"""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise NotFound(_HIDDEN)
        answer = upstream.get(*API, "projects", match["project"], "issues", match["number"], allow={404})
        _raise_not_found(answer)
        return self._item(answer.object(), upstream.source, with_excerpt=with_excerpt)

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        numbers: dict[str, list[str]] = defaultdict(list)
        for reference in dict.fromkeys(references):
            if match := _REFERENCE.fullmatch(reference):
                numbers[match["project"]].append(match["number"])
        if references and not numbers:
            # No request for an issue is left that would prove the source readable.
            self.check(upstream)
        groups = [
            (project, some[start : start + PAGE_SIZE])
            for project, some in numbers.items()
            for start in range(0, len(some), PAGE_SIZE)
        ]
        found: dict[str, Item] = {}
        for issues in upstream.each(lambda group: _issues_of(upstream, *group), groups):
            found |= {item.reference: item for item in (self._item(issue, upstream.source) for issue in issues)}
        return {text: found.get(text) or Item.gone(text, self.url_for(upstream.source, text)) for text in references}

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """https://docs.gitlab.com/api/issues/#list-issues"""
        query = [("scope", "all"), ("order_by", "updated_at"), ("per_page", str(max(1, min(limit, PAGE_SIZE))))]
        words = [("search", text), ("in", "title")] if text else []
        issues = _objects(upstream.get(*API, "issues", query=[*query, *words]))
        return [self._item(issue, upstream.source) for issue in issues][:limit]

    # --- writing -------------------------------------------------------------------------------------------------

    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        """https://docs.gitlab.com/api/issues/#new-issue"""
        project, title = _text(values, "project"), _text(values, "title")
        for name, value in (("project", project), ("title", title)):
            if not value:
                raise InvalidInput(name, f"“{name}” is missing.")
        body = {"title": title, "description": _text(values, "description")}
        with creating(upstream, "the issue"):
            answer = _send(upstream, "POST", body, project)
            if answer.status == 404 and _says_not_found(answer):
                raise Rejected(_NOT_CREATED, {"project": "GitLab does not show this project to our account."})
            _raise_refused(answer, _NOT_CREATED)
            return self._item(answer.object(), upstream.source)

    def update(self, upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> Item:
        """https://docs.gitlab.com/api/issues/#edit-an-issue"""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise NotFound(_HIDDEN)
        body = {"title": _text(changes, "title")} if "title" in changes else {}
        if "status" in changes:
            body["state_event"] = _event(_text(changes, "status"))
        if not body:
            raise InvalidInput("changes", "Nothing to change: give title or status.")
        answer = _send(upstream, "PUT", body, match["project"], match["number"])
        _raise_not_found(answer)
        _raise_refused(answer, _NOT_CHANGED)
        return self._item(answer.object(), upstream.source)

    def choices(
        self, upstream: Upstream, field: str, values: Mapping[str, str], *, reference: str | None = None
    ) -> Iterable[Choice]:
        if field == "project":
            return [Choice(path, path) for path in _projects(upstream)]
        if field == "status":
            return STATUSES.values()
        return super().choices(upstream, field, values, reference=reference)

    # --- shape ---------------------------------------------------------------------------------------------------

    def _item(self, issue: Mapping[str, Any], source: SourceConfig, *, with_excerpt: bool = False) -> Item:
        reference, title, status = _reference_of(issue), one_line(_string(issue.get("title"))), _status(issue)
        description = one_line(_string(issue.get("description")))
        return Item(
            reference,
            title or reference,
            self.url_for(source, reference),
            updated=_moment(issue.get("updated_at")),
            is_closed=status.value == "closed",
            due=_day(issue.get("due_date")),
            field_values={"title": Choice(title, title), "status": status},
            facts={
                "number": reference.rpartition("#")[2],
                "project": reference.rpartition("#")[0],
                "status": status.label,
                "statusColor": status.color,
                "assignees": _names(issue.get("assignees"), "name"),
                "labels": _names(issue.get("labels"), None),
                "created": _moment(issue.get("created_at")),
            },
            excerpt=description[:EXCERPT_LENGTH] if with_excerpt else None,
        )


# --- references --------------------------------------------------------------------------------------------------


def _reference_in(text: str, root: str) -> str:
    """The reference that an address or a typed reference means."""
    if _REFERENCE.fullmatch(text):
        return text
    if "://" not in text:
        raise InvalidInput("reference", "Give the address of an issue, or its reference: group/project#12.")
    if not f"{text}/".startswith(f"{root}/"):
        host = urlsplit(text).hostname or text
        raise WrongHost("reference", host, f"This is an address of {host}. There is no source for it yet.")
    match = _PAGE.fullmatch(unquote(urlsplit(text).path.removeprefix(urlsplit(root).path)))
    if match is None:
        raise InvalidInput("reference", "This is not the address of an issue.")
    return f"{match['project']}#{match['number']}"


def _reference_of(issue: Mapping[str, Any]) -> str:
    references = issue.get("references")
    full = references.get("full") if isinstance(references, Mapping) else None
    if not isinstance(full, str) or not _REFERENCE.fullmatch(full):
        raise unexpected("GitLab answered without an issue.")
    return full


# --- requests ----------------------------------------------------------------------------------------------------


def _issues_of(upstream: Upstream, project: str, numbers: Sequence[str]) -> list[Mapping[str, Any]]:
    """The issues of a project with these numbers, none of a project that is not shown to the account.

    https://docs.gitlab.com/api/issues/#list-project-issues
    """
    query = [("per_page", str(PAGE_SIZE)), *(("iids[]", number) for number in numbers)]
    answer = upstream.get(*API, "projects", project, "issues", query=query, allow={404})
    if answer.status == 404 and _says_not_found(answer):
        return []
    return _objects(answer)


def _projects(upstream: Upstream) -> list[str]:
    """https://docs.gitlab.com/api/projects/"""
    query = [("membership", "true"), ("simple", "true"), ("order_by", "path"), ("per_page", str(PAGE_SIZE))]
    projects = _objects(upstream.get(*API, "projects", query=query))
    return [one_line(_string(project.get("path_with_namespace"))) for project in projects]


def _send(upstream: Upstream, method: str, body: Mapping[str, str], project: str, *number: str) -> Answer:
    path, content = (*API, "projects", project, "issues", *number), json.dumps(body).encode()
    return upstream.send(method, *path, body=content, content_type="application/json", allow=_REFUSALS)


def _says_not_found(answer: Answer) -> bool:
    """Whether GitLab itself says so. A 404 of a proxy in front of it proves nothing."""
    return str(answer.object().get("message", "")).startswith("404")


def _raise_not_found(answer: Answer) -> None:
    if answer.status == 404 and _says_not_found(answer):
        raise NotFound(_HIDDEN)


def _raise_refused(answer: Answer, message: str) -> None:
    """Raise for a write that GitLab refused, with its own sentence for each field."""
    if answer.status < 300:
        return
    said = answer.object().get("message")
    if answer.status == 403:
        raise Forbidden(f"{message} Our account may not do this.")
    if answer.status == 404 or said is None:
        raise unexpected(f"{answer.where} answered {answer.status}.")
    fields = said if isinstance(said, Mapping) else {}
    sentences = {name: "; ".join(_names(found, None)) for name, found in fields.items()}
    raise Rejected(message if fields else f"{message} {one_line(_string(said))}".strip(), sentences)


def _event(status: str) -> str:
    """The event that leads to a status, given by value or by label."""
    for choice in STATUSES.values():
        if status.casefold() in (choice.value, choice.label.casefold()):
            return "close" if choice.value == "closed" else "reopen"
    raise InvalidInput("status", "An issue is Open or Closed.")


# --- values ------------------------------------------------------------------------------------------------------


def _objects(answer: Answer) -> list[Mapping[str, Any]]:
    value = answer.json()
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise unexpected(f"{answer.where} answered without a list.")
    return value


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(name, f"“{name}” must be text.")
    return (value or "").strip()


def _status(issue: Mapping[str, Any]) -> Choice:
    state = _string(issue.get("state"))
    return STATUSES.get(state) or Choice(state, one_line(state))


def _names(values: object, key: str | None) -> list[str]:
    """The text of each entry of a list, or its text under ``key``."""
    entries = values if isinstance(values, list) else []
    texts = [entry.get(key) if key is not None and isinstance(entry, Mapping) else entry for entry in entries]
    return [one_line(text) for text in texts if isinstance(text, str)]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(_string(value))
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_string(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
