"""Creating a page: nothing is overwritten, macros are escaped, and an unknown outcome is reported."""

from __future__ import annotations

from typing import Any

import pytest
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.core.domain import Item
from panel.core.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, ProviderUnavailable, Rejected, Uncertain
from panel.core.reasons import Reason

wiki = wiki_fixture("legacy", "modern", "solr-only")
modern = wiki_fixture("modern")

NEW = f"{REST}/spaces/Sandbox/pages/New"


def _create(wiki: WikiServer, **values: Any) -> Item:
    return wiki.leaf.create(wiki.open(), {"space": "Sandbox", "title": "New", **values})


def test_checks_that_the_page_does_not_exist_and_writes_once(wiki: WikiServer) -> None:
    with wiki.standin.counting() as seen:
        item = _create(wiki, title="Report & more", content="Some **text**.\r\n")

    row, page = wiki.leaf.row(item), wiki.standin.page("Sandbox.Report&More")
    assert [one.partition(" ")[0] for one in paths(seen)] == ["GET"] * 3 + ["PUT"]
    assert (row["reference"], row["space"], row["page"]) == ("xwiki:Sandbox.Report&More", "Sandbox", "Report&More")
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
        ("  two\n lines ", "TwoLines"),
        ("v1.2", "v1.2"),
        ("Ünïcode 文 ? # + %", "Ünïcode文?#+%"),
        ("</title><x>", "<-title><x>"),
        ("bell\x07", "bell"),
        ("x" * 255, "x" * 255),
    ],
)
def test_the_name_of_a_page_is_derived_from_its_title(modern: WikiServer, title: str, name: str) -> None:
    item = _create(modern, title=title)

    assert item.facts["page"] == name
    assert modern.standin.page(item.reference).title == " ".join(title.replace("\x07", "").split())
    assert modern.leaf.fetch(modern.open(), item.reference).reference == item.reference


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

    assert item.facts["space"] == stored
    assert modern.standin.has_page(f"{stored}.New")


@pytest.mark.parametrize("content", ["{{velocity}}$x{{/velocity}}", "{{{groovy}}}", "~{{x}}", "~~{{x}}", "a {{{{ b"])
def test_a_typed_macro_is_escaped(modern: WikiServer, content: str) -> None:
    stored = modern.standin.page(_create(modern, content=content).reference).content

    assert "{{" not in stored
    assert modern.leaf.fetch(modern.open(), "xwiki:Sandbox.New", with_excerpt=True).excerpt is not None


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

    assert not wiki.standin.has_page(f"{space}.New")


def test_a_guest_may_not_create(wiki: WikiServer) -> None:
    with pytest.raises(Forbidden):
        wiki.leaf.create(wiki.open(wiki.source(None)), {"space": "Sandbox", "title": "New"})

    assert not wiki.standin.has_page("Sandbox.New")


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
        ("space", {"space": "A/B"}),
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
    modern.standin.lock_page("Sandbox.New")
    if status != 412:
        modern.standin.answer = _rejecting_put(modern, status)  # type: ignore[method-assign]

    with pytest.raises(expected):
        _create(modern)

    assert not modern.standin.has_page("Sandbox.New")


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
            modern.standin.add_page("Sandbox.New", content="Theirs")
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
    assert modern.standin.has_page("Sandbox.New")
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

    assert (item.reference, item.title) == ("xwiki:Sandbox.New", "New")


def test_an_existing_page_named_exactly_like_the_title_is_not_duplicated(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.Notes of the hearing", title="Notes of the hearing", content="theirs")

    with pytest.raises(AlreadyExists):
        _create(wiki, title="Notes of the hearing")

    assert not wiki.standin.has_page("Sandbox.NotesOfTheHearing")
