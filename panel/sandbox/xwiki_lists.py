"""Lists of the xWiki stand-in: pages, spaces, children and recent changes."""

from __future__ import annotations

from collections.abc import Iterable

from panel.sandbox.xwiki_addresses import Bean
from panel.sandbox.xwiki_call import Call, Refused, space_names
from panel.sandbox.xwiki_database import contains
from panel.sandbox.xwiki_page import Page, Reference
from panel.sandbox.xwiki_views import milliseconds


def all_pages(call: Call) -> Bean:
    """The pages and translations of a wiki, 25 unless ``number`` is sent. Some servers do not check the view right."""
    name, space, author = (call.request.args.get(key, "") for key in ("name", "space", "author"))
    space_id = Reference(space_names(space.split("/")), "-").space if space else ""
    found = [
        page
        for page in call.wiki.documents()
        if contains(name, page.reference.full_name)
        and contains(space_id, page.reference.space)
        and contains(author, page.author)
    ]
    unchecked = call.profile.lists_denied_pages
    rows = call.window(found, default=25) if unchecked else call.visible_window(found, default=25)
    return _pages(call.views.reduced_summary(page) for page in rows)


def pages_of(call: Call, spaces: tuple[str, ...]) -> Bean:
    """The pages of one space, without hidden ones."""
    found = [page for page in call.wiki.in_order() if page.reference.spaces == spaces and not page.hidden]
    if call.request.args.get("order") == "date":
        found.sort(key=lambda page: page.date, reverse=True)
    return _pages(call.views.summary(page) for page in call.visible_window(found))


def children(call: Call, reference: Reference) -> Bean:
    """The pages below a page: by their place on newer servers, otherwise those that name it as their parent."""
    nested = call.request.args.get("hierarchy") == "nestedpages" and "children" in call.profile.newer_resources
    if nested:
        found = [page for page in call.wiki.in_order() if page.reference.parent == reference and not page.hidden]
    else:
        found = [page for page in call.wiki.in_order() if page.parent == reference.full_name and not page.hidden]
    return _pages(call.views.summary(page) for page in call.visible_window(_matching(call, found)))


def top_level_pages(call: Call) -> Bean:
    found = [page for page in call.wiki.in_order() if page.reference.parent is None and not page.hidden]
    return _pages(call.views.summary(page) for page in call.visible_window(_matching(call, found)))


def _matching(call: Call, pages: Iterable[Page]) -> list[Page]:
    wanted = call.request.args.get("search", "")
    return [page for page in pages if contains(wanted, page.plain_title) or contains(wanted, page.reference.own_name)]


def spaces_below(call: Call, outer: tuple[str, ...]) -> Bean:
    """The spaces at any depth. Each nested page is a space."""
    found = [spaces for spaces in call.wiki.spaces() if spaces[: len(outer)] == outer and spaces != outer]
    visible = [spaces for spaces in call.window(found) if call.may_view_space(spaces)]
    return {"links": [], "spaces": [call.views.space(spaces) for spaces in visible]}


def one_space(call: Call, spaces: tuple[str, ...]) -> Bean:
    if not call.may_view_space(spaces):
        raise Refused(401)
    if spaces not in call.wiki.spaces():
        raise Refused(404)
    return call.views.space(spaces)


def modifications(call: Call) -> Bean:
    since = call.number("date") or 0
    versions = [page for versions in call.wiki.history.values() for page in versions]
    found = [page for page in versions if page.reference in call.wiki.pages and milliseconds(page.date) >= since]
    found.sort(key=lambda page: page.date, reverse=call.request.args.get("order") != "asc")
    visible = call.visible_window(found, default=25)
    return {"links": [], "historySummaries": [call.views.history_summary(page) for page in visible]}


def _pages(summaries: Iterable[Bean]) -> Bean:
    return {"links": [], "pageSummaries": list(summaries)}
