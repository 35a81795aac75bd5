"""A stand-in for GitLab: two projects with a few issues, over real HTTP, for the owner of one token."""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox.standin import StandIn

TOKEN = "glpat-example"
HOSTILE = "<b>Gate</b>\x07 \u202estuck"
"""A title with markup, a control character and a mark that turns the writing direction."""

_ISSUE = re.compile(r"/api/v4/projects/(.+)/issues(?:/(\d+))?")


class GitLabStandIn(StandIn):
    product = "GitLab"

    def __init__(self) -> None:
        super().__init__()
        self.issues = {
            ("town/bridges", 1): _issue("town/bridges", 1, "Replace the north bridge", assignees=["Anna"]),
            ("town/bridges", 2): _issue("town/bridges", 2, "Paint the old bridge", state="closed"),
            ("town/gates", 1): _issue("town/gates", 1, HOSTILE),
        }

    def answer(self, request: Request) -> Response:
        if request.headers.get("Private-Token") != TOKEN:
            return _json({"message": "401 Unauthorized"}, 401)
        simple: dict[str, Any] = {
            "/api/v4/user": {"username": "anna"},
            "/api/v4/version": {"version": "18.6.0"},
            "/api/v4/projects": [{"path_with_namespace": path} for path in self._projects()],
        }
        if request.path in simple:
            return _json(simple[request.path])
        if request.path == "/api/v4/issues":
            return _json(self._search(request))
        match = _ISSUE.fullmatch(request.path)
        if match is None or match[1] not in self._projects():
            return _json({"message": "404 Project Not Found"}, 404)
        return self._one(request, match[1], int(match[2])) if match[2] else self._several(request, match[1])

    def _projects(self) -> list[str]:
        return sorted({project for project, _ in self.issues})

    def _search(self, request: Request) -> list[dict[str, Any]]:
        words = request.args.get("search", "").casefold()
        found = [issue for issue in self.issues.values() if words in issue["title"].casefold()]
        return found[: int(request.args.get("per_page", 20))]

    def _several(self, request: Request, project: str) -> Response:
        if request.method == "POST":
            return self._create(project, json.loads(request.get_data()))
        wanted = {int(number) for number in request.args.getlist("iids[]")}
        return _json([issue for (path, number), issue in self.issues.items() if path == project and number in wanted])

    def _create(self, project: str, body: dict[str, str]) -> Response:
        if len(body["title"]) > 255:
            return _json({"message": {"title": ["is too long (maximum is 255 characters)"]}}, 400)
        number = 1 + max(number for path, number in self.issues if path == project)
        self.issues[project, number] = _issue(project, number, body["title"], description=body["description"])
        return _json(self.issues[project, number], 201)

    def _one(self, request: Request, project: str, number: int) -> Response:
        issue = self.issues.get((project, number))
        if issue is None:
            return _json({"message": "404 Not found"}, 404)
        if request.method == "PUT":
            body = json.loads(request.get_data())
            issue["title"] = body.get("title", issue["title"])
            issue["state"] = {"close": "closed", "reopen": "opened"}.get(body.get("state_event"), issue["state"])
        return _json(issue)


def _issue(project: str, number: int, title: str, **more: Any) -> dict[str, Any]:
    names = more.pop("assignees", [])
    return {
        "iid": number, "title": title, "description": "Beams and planks.", "state": "opened", "labels": ["stone"],
        "references": {"full": f"{project}#{number}"}, "assignees": [{"name": name} for name in names],
        "created_at": "2026-03-02T08:00:00.000Z", "updated_at": f"2026-05-0{number}T09:00:00.000Z",
        "due_date": None, **more,
    }  # fmt: skip


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
