"""Browser pages of the stand-in: targets for links, each with a banner that marks it as a sandbox."""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from werkzeug.wrappers import Request, Response

from panel.sandbox.openproject_state import Principal, Project, WorkPackage, World

BANNER = "Sandbox stand-in of OpenProject – not a real tracker"

STYLE = Markup(
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;color:#1f2933}"
    "header{background:#7a4b00;color:#fff;padding:.5rem 1.5rem;font-weight:600}"
    "main{padding:1rem 1.5rem;max-width:50rem}dt{color:#52606d}dd{margin:0 0 .5rem}"
)
PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} | {banner}</title>'
    '<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
    '<body><header role="banner">{banner}</header><main><h1>{title}</h1>{body}</main></body></html>'
)
PATHS = {
    "start": "/?",
    "work-package": r"(?:/projects/[^/]+)?/(?:work_packages|wp)/(?P<work_package>[^/]+)(?:/[a-z]+)?",
    "new": r"/projects/(?P<project>[^/]+)/work_packages/new",
}


def page_for(request: Request, world: World, viewer: Principal) -> Response:
    """Render the page at the request's path, as ``viewer`` sees it."""
    for name in ("new", "start", "work-package"):
        match = re.fullmatch(PATHS[name], request.path)
        if match:
            with world.lock:
                return _render(match.groupdict(), world, viewer, request.root_path.rstrip("/"))
    return _missing()


def _render(ids: dict[str, str], world: World, viewer: Principal, prefix: str) -> Response:
    if "work_package" in ids:
        found = find(world, viewer, ids["work_package"])
        return _work_package(found, world) if found else _missing()
    if "project" in ids:
        project = world.project(ids["project"])
        return _new(project) if project and world.sees_project(viewer, project) else _missing()
    return _start(world.visible(viewer), prefix)


def find(world: World, viewer: Principal, text: str) -> WorkPackage | None:
    """Find a visible work package by its number or its semantic id (``VERG-7``)."""
    if re.fullmatch("[0-9]{1,18}", text):
        return world.sees(viewer, int(text))
    return next((one for one in world.visible(viewer) if text in world.semantic_ids(one)), None)


def show(title: str, body: Markup, status: int = 200) -> Response:
    """Render a complete page with the banner."""
    html = PAGE.format(title=title, banner=BANNER, style=STYLE, body=body)
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
    }
    return Response(html, status, headers, content_type="text/html; charset=utf-8")


def _start(rows: list[WorkPackage], prefix: str) -> Response:
    item = Markup('<li><a href="{prefix}/work_packages/{id}">#{id} {subject}</a></li>')
    items = Markup("").join(item.format(prefix=prefix, id=row.id, subject=row.subject) for row in rows)
    return show("Work packages", Markup("<ul>{}</ul>").format(items))


def _work_package(one: WorkPackage, world: World) -> Response:
    assignee = world.principals.get(one.assignee_id or 0)
    values = {
        "Project": world.projects[one.project_id].name,
        "Type": world.types[one.type_id].name,
        "Status": world.statuses[one.status_id].name,
        "Priority": world.priorities[one.priority_id].name,
        "Assignee": assignee.name if assignee else "-",
        "Finish date": one.due_date or "-",
    }
    entry = Markup("<dt>{}</dt><dd>{}</dd>")
    entries = Markup("").join(entry.format(term, value) for term, value in values.items())
    text = escape(one.description or "")
    return show(f"#{one.id} {one.subject}", Markup("<dl>{}</dl><p>{}</p>").format(entries, text))


def _new(project: Project) -> Response:
    text = Markup("<p>The real OpenProject shows its own form for a new work package in <b>{}</b> here.</p>")
    return show("New work package", text.format(project.name))


def _missing() -> Response:
    text = Markup("<p>The page you were trying to access does not exist or you have no permission to see it.</p>")
    return show("[Error 404]", text, 404)
