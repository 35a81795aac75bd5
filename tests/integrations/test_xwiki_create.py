"""Creating a page: nothing is overwritten, macros are escaped, and an unknown outcome is reported."""

from __future__ import annotations

from typing import Any

import pytest
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.domain import Item, State
from panel.core.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, ProviderUnavailable, Rejected, Uncertain
from panel.core.reasons import Reason
from panel.integrations.xwiki.reference import PageReference

wiki = wiki_fixture("legacy", "16", "18")
modern = wiki_fixture("16")
eighteen = wiki_fixture("18")

NEW = f"{REST}/spaces/Sandbox/spaces/New/pages/WebHome"


def _create(wiki: WikiServer, **values: Any) -> Item:
    return wiki.leaf.create(wiki.open(), {"space": "Sandbox", "title": "New", **values})


def test_checks_that_the_page_does_not_exist_and_writes_once(wiki: WikiServer) -> None:
    with wiki.standin.counting() as seen:
        item = _create(wiki, title="Report & more", content="Some **text**.\r\n")

    row, page = wiki.leaf.row(item), wiki.standin.page("Sandbox.Report & more.WebHome")
    assert [one.partition(" ")[0] for one in paths(seen)] == ["GET"] * 2 + ["PUT"]
    assert row["reference"] == "xwiki:Sandbox.Report & more.WebHome"
    assert (row["space"], row["page"]) == ("Sandbox.Report & more", "WebHome")
    assert (row["title"], row["version"], row["breadcrumb"][-1]) == ("Report & more", "1.1", "Report & more")
    assert (page.title, page.content, page.hidden, page.syntax) == (
        "Report & more",
        "Some **text**.\n",
        False,
        "xwiki/2.1",
    )


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("and/or", "and-or"),
        ("back\\slash", "back-slash"),
        ("  two\n lines ", "two lines"),
        ("v1.2", "v1.2"),
        ("Ünïcode 文 ? # + %", "Ünïcode 文 ? # + %"),
        ("</title><x>", "<-title><x>"),
        ("bell\x07", "bell"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_page_is_named_like_its_title_and_is_nested(modern: WikiServer, title: str, name: str) -> None:
    item = _create(modern, title=title)

    page = PageReference.parse(item.reference)
    assert (page.spaces, page.name) == (("Sandbox", name), "WebHome")
    assert modern.standin.page(item.reference).title == " ".join(title.replace("\x07", "").split())
    assert modern.leaf.fetch(modern.open(), item.reference).reference == item.reference


@pytest.mark.parametrize("title", ["and/or", "back\\slash", "a/b\\c"])
def test_a_server_that_serves_slashes_gets_them(eighteen: WikiServer, title: str) -> None:
    item = _create(eighteen, title=title)

    assert PageReference.parse(item.reference).spaces == ("Sandbox", title)
    assert eighteen.standin.page(item.reference).title == title


def test_a_taken_name_with_a_slash_is_found_in_the_form_that_the_server_accepts(modern: WikiServer) -> None:
    _create(modern, title="and/or")

    with pytest.raises(AlreadyExists):
        _create(modern, title="and/or")


@pytest.mark.parametrize(("terminal", "page"), [("true", "Sandbox.My notes"), ("false", "Sandbox.My notes.WebHome")])
def test_an_option_of_the_source_makes_terminal_pages(wiki: WikiServer, terminal: str, page: str) -> None:
    upstream = wiki.open(wiki.source(terminal=terminal))

    item = wiki.leaf.create(upstream, {"space": "Sandbox", "title": "My notes"})

    assert item.reference == f"xwiki:{page}"


@pytest.mark.parametrize("terminal", ["true", "false"])
@pytest.mark.parametrize("existing", ["Sandbox.My notes", "Sandbox.My notes.WebHome"])
def test_a_name_is_taken_in_either_form(wiki: WikiServer, terminal: str, existing: str) -> None:
    wiki.standin.add_page(existing, content="Before")

    with pytest.raises(AlreadyExists):
        wiki.leaf.create(wiki.open(wiki.source(terminal=terminal)), {"space": "Sandbox", "title": "My notes"})

    assert wiki.standin.page(existing).content == "Before"


def test_a_page_can_be_created_below_a_created_one(wiki: WikiServer) -> None:
    outer = _create(wiki, title="Outer notes")

    inner = _create(wiki, space="Sandbox.Outer notes", title="Inner notes")

    assert outer.reference == "xwiki:Sandbox.Outer notes.WebHome"
    assert inner.reference == "xwiki:Sandbox.Outer notes.Inner notes.WebHome"


def test_a_created_page_is_live_at_once(eighteen: WikiServer) -> None:
    source, reference = eighteen.source(), "xwiki:Sandbox.Notes.WebHome"
    references = [reference, "xwiki:Main.WebHome", "xwiki:Sandbox.TestPage1"]
    before = eighteen.leaf.fetch_many(eighteen.open(source), references)[reference]

    eighteen.leaf.create(eighteen.open(source), {"space": "Sandbox", "title": "Notes"})

    after = eighteen.leaf.fetch_many(eighteen.open(source), references)[reference]
    assert (before.state, after.state) == (State.GONE, State.LIVE)


@pytest.mark.parametrize(
    ("space", "stored"),
    [
        ("Sandbox.Inner", "Sandbox.Inner"),
        (r"Sandbox.07\. Dev", r"Sandbox.07\. Dev"),
        ("Sandbox.My space", "Sandbox.My space"),
        ("xwiki:Sandbox", "Sandbox"),
        (" Sandbox ", "Sandbox"),
    ],
)
def test_a_space_can_be_nested(modern: WikiServer, space: str, stored: str) -> None:
    item = _create(modern, space=space)

    assert item.facts["space"] == f"{stored}.New"
    assert modern.standin.has_page(f"{stored}.New.WebHome")


@pytest.mark.parametrize("content", ["{{velocity}}$x{{/velocity}}", "{{{groovy}}}", "~{{x}}", "~~{{x}}", "a {{{{ b"])
def test_a_typed_macro_is_escaped(modern: WikiServer, content: str) -> None:
    stored = modern.standin.page(_create(modern, content=content).reference).content

    assert "{{" not in stored
    assert modern.leaf.fetch(modern.open(), "xwiki:Sandbox.New.WebHome", with_excerpt=True).excerpt is not None


@pytest.mark.parametrize(
    "content", ["]]></content><hidden>true</hidden>", "nul\x00 \x1f half \ud800 \ufffe", "&amp; <x/>"]
)
def test_content_cannot_inject_other_fields(modern: WikiServer, content: str) -> None:
    page = modern.standin.page(_create(modern, content=content).reference)

    assert page.content == "".join(char for char in content if char not in "\x00\x1f\ud800\ufffe")
    assert not page.hidden


@pytest.mark.parametrize("existing", ["Sandbox.New", "Sandbox.New.WebHome"])
def test_an_existing_page_is_not_overwritten(wiki: WikiServer, existing: str) -> None:
    wiki.standin.add_page(existing, content="Before")

    with (
        wiki.standin.counting() as seen,
        pytest.raises(AlreadyExists, match=r"exists already .* Nothing was overwritten\.$"),
    ):
        _create(wiki)

    assert wiki.standin.page(existing).content == "Before"
    assert not any(one.startswith("PUT") for one in paths(seen))


@pytest.mark.parametrize("space", ["Dev", "Secret"])
def test_the_error_names_the_space_without_the_right_to_create(wiki: WikiServer, space: str) -> None:
    with pytest.raises(Forbidden, match=f"^xWiki does not let our account create pages in {space}.$"):
        _create(wiki, space=space)

    assert not wiki.standin.has_page(f"{space}.New.WebHome")


def test_a_guest_may_not_create(wiki: WikiServer) -> None:
    with pytest.raises(Forbidden):
        wiki.leaf.create(wiki.open(wiki.source(None)), {"space": "Sandbox", "title": "New"})

    assert not wiki.standin.has_page("Sandbox.New.WebHome")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": ""}),
        ("title", {"title": " \x00"}),
        ("title", {"title": None}),
        ("title", {"title": 7}),
        ("title", {"title": "x" * 256}),
        ("title", {"title": "."}),
        ("title", {"title": ".."}),
        ("title", {"title": "$services.x"}),
        ("title", {"title": "${x}"}),
        ("title", {"title": "#set ($x = 1)"}),
        ("title", {"title": "#evaluate('x')"}),
        ("space", {"space": ""}),
        ("space", {"space": None}),
        ("space", {"space": "A..B"}),
        ("space", {"space": "07. Dev"}),
        ("space", {"space": r"A.\.\."}),
        ("space", {"space": "a" * 2000}),
        ("content", {"content": 7}),
        ("content", {"content": "x" * 600_000}),
    ],
)
def test_an_invalid_field_is_named_and_nothing_is_sent(modern: WikiServer, field: str, values: dict[str, Any]) -> None:
    with modern.standin.counting() as seen, pytest.raises(InvalidInput) as caught:
        _create(modern, **values)

    assert caught.value.field == field
    assert seen == []


@pytest.mark.parametrize("title", ["Zaak #12", "US$ 100", "100% #hashtag", "$1"])
def test_ordinary_titles_are_not_rejected_as_scripts(modern: WikiServer, title: str) -> None:
    assert _create(modern, title=title).title == title


@pytest.mark.parametrize("status", [412, 400, 403, 401, 405])
def test_a_rejected_page_is_not_created(modern: WikiServer, status: int) -> None:
    expected = {412: Conflict, 400: Rejected, 403: Forbidden, 401: Forbidden, 405: ProviderUnavailable}[status]
    modern.standin.lock_page("Sandbox.New.WebHome")
    if status != 412:
        modern.standin.answer = _rejecting_put(modern, status)  # type: ignore[method-assign]

    with pytest.raises(expected):
        _create(modern)

    assert not modern.standin.has_page("Sandbox.New.WebHome")


def _rejecting_put(wiki: WikiServer, status: int) -> Any:
    """Return a replacement of ``answer`` that sends ``status`` for a PUT."""
    real = wiki.standin.answer

    def answer(request: Any) -> Any:
        response = real(request)
        if request.method == "PUT":
            response.status_code = status
        return response

    return answer


def test_a_concurrent_create_is_reported(modern: WikiServer) -> None:
    real = modern.standin.answer

    def answer(request: Any) -> Any:
        if request.method == "PUT":
            modern.standin.add_page("Sandbox.New.WebHome", content="Theirs")
        return real(request)

    modern.standin.answer = answer  # type: ignore[method-assign]

    with pytest.raises(AlreadyExists, match="which is kept in the history of the page") as caught:
        _create(modern)
    assert caught.value.in_doubt


def test_a_create_with_a_lost_response_is_uncertain_and_not_repeated(modern: WikiServer) -> None:
    modern.standin.fail_put_after_commit = True

    with modern.standin.counting() as seen, pytest.raises(Uncertain) as caught:
        _create(modern)

    assert isinstance(caught.value.__cause__, ProviderUnavailable)
    assert modern.standin.has_page("Sandbox.New.WebHome")
    assert [one.partition(" ")[0] for one in paths(seen)] in (["GET", "GET"], ["GET", "GET", "PUT"])


@pytest.mark.parametrize("fault", ["server-error", "unavailable", "overloaded", "login-page", "empty-object", "huge"])
def test_an_unusable_response_is_uncertain(modern: WikiServer, fault: str) -> None:
    modern.standin.fault, modern.standin.fault_only = fault, lambda request: request.method == "PUT"

    with pytest.raises(Uncertain):
        _create(modern)


@pytest.mark.parametrize(
    ("fault", "reason"), [("redirect", Reason.UNEXPECTED_REDIRECT), ("rate-limited", Reason.RATE_LIMITED)]
)
def test_a_rejected_request_is_not_uncertain(modern: WikiServer, fault: str, reason: Reason) -> None:
    modern.standin.fault, modern.standin.fault_only = fault, lambda request: request.method == "PUT"

    with pytest.raises(ProviderUnavailable) as caught:
        _create(modern)

    assert caught.value.reason is reason


def test_a_201_with_a_malformed_page_is_a_success(modern: WikiServer) -> None:
    modern.reply(201, "{", path=NEW, method="PUT", kind="application/json")

    item = _create(modern, title="New")

    assert (item.reference, item.title) == ("xwiki:Sandbox.New.WebHome", "New")


def test_a_space_with_a_slash_is_refused_by_name_where_the_server_refuses_it(modern: WikiServer) -> None:
    with pytest.raises(InvalidInput) as caught:
        _create(modern, space="A/B")

    assert caught.value.field == "space"


def test_messages_name_the_space_without_escapes(modern: WikiServer) -> None:
    with pytest.raises(Forbidden, match=r"create pages in 07\. Dev › Inner\.$"):
        _create(modern, space=r"07\. Dev.Inner")
