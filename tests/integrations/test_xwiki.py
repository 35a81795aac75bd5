"""The xWiki leaf: connection, single pages and search, on three generations of servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Response
from xwiki_wiki import REST, WikiServer, paths, wiki_fixture

from panel.connector import Answer, Auth, AuthKind, Secret, SourceConfig, Upstream
from panel.core.domain import Identity, Item, Problem, State
from panel.core.errors import InvalidInput, NotFound, NotSupported, ProviderUnavailable, WrongHost
from panel.core.reasons import Reason
from panel.integrations.descriptor import Descriptor
from panel.integrations.xwiki import leaf as module
from panel.integrations.xwiki.leaf import XWiki
from panel.integrations.xwiki.rest import reported_user

wiki = wiki_fixture("legacy", "modern", "solr-only")
modern = wiki_fixture("modern")
recent = wiki_fixture("18")
legacy = wiki_fixture("legacy")

PAGE = f"{REST}/spaces/Sandbox/pages/TestPage1"

# --- descriptor and addresses --------------------------------------------------------------------------------------


def test_descriptor_matches_the_leaf() -> None:
    descriptor = Descriptor.load(Path(module.__file__).with_suffix(".yaml"))

    assert (descriptor.label, descriptor.upstream, descriptor.icon) == ("Articles", "xWiki", "FileDocumentMultiple")
    assert [preset.id for preset in descriptor.presets] == ["basic", "token", "oauth2", "none"]
    assert [(one.name, one.kind, one.required) for one in descriptor.create] == [
        ("space", "select", True),
        ("title", "text", True),
        ("name", "text", False),
        ("content", "textarea", False),
    ]
    assert [one.name for one in descriptor.options] == ["wiki", "terminal"]
    assert descriptor.reference_aliases == ("reference", "pageReference", "url")
    assert descriptor.sorts == {"updated": "Last edited", "title": "Title", "linked": "Linked"}


def test_urls_are_built_from_the_instance_root() -> None:
    leaf, source = XWiki(), SourceConfig("1", "xwiki", "Wiki", "https://w.example.org/xwiki")
    sub = SourceConfig("1", "xwiki", "Wiki", source.root, options={"wiki": "docs"})

    assert leaf.instance_root("https://w.example.org/xwiki/rest/") == source.root
    assert leaf.api_address(source) == "https://w.example.org/xwiki/rest/wikis/xwiki"
    assert leaf.api_address(sub) == "https://w.example.org/xwiki/rest/wikis/docs"
    assert leaf.url_for(source, r"xwiki:07\. Dev.WebHome") == "https://w.example.org/xwiki/bin/view/07.%20Dev/"
    assert leaf.url_for(sub, "docs:A.B") == "https://w.example.org/xwiki/wiki/docs/view/A/B"
    assert leaf.url_for(source, "junk") == "https://w.example.org/xwiki/"


# --- connection ----------------------------------------------------------------------------------------------------


def test_check_returns_user_and_version(wiki: WikiServer) -> None:
    version = wiki.standin.profile.version

    assert wiki.leaf.check(wiki.open()) == Identity("alice", version)
    assert wiki.leaf.probe_identity(wiki.open()) == Identity("alice", version)


def test_check_is_one_request(wiki: WikiServer) -> None:
    with wiki.standin.counting() as seen:
        wiki.leaf.check(wiki.open())

    assert paths(seen) == ["GET "]


Read = Callable[[XWiki, Upstream], object]

READS: dict[str, Read] = {
    "check": lambda leaf, upstream: leaf.check(upstream),
    "probe_reading": lambda leaf, upstream: leaf.probe_reading(upstream),
    "resolve": lambda leaf, upstream: leaf.resolve(upstream, "Sandbox.TestPage1"),
    "fetch": lambda leaf, upstream: leaf.fetch(upstream, "xwiki:Sandbox.TestPage1"),
    "fetch_many": lambda leaf, upstream: leaf.fetch_many(upstream, ["xwiki:Main.WebHome"]),
    "fetch_many of malformed references": lambda leaf, upstream: leaf.fetch_many(upstream, ["junk"]),
    "search": lambda leaf, upstream: leaf.search(upstream, "test", limit=10),
    "empty search": lambda leaf, upstream: leaf.search(upstream, "", limit=10),
    "choices": lambda leaf, upstream: leaf.find_choices(upstream, "space", {}),
    "create": lambda leaf, upstream: leaf.create(upstream, {"space": "Sandbox", "title": "New"}),
}
OWN_READS = ("probe_reading", "fetch_many of malformed references", "choices", "create")
"""Operations that only this leaf has or handles in its own way; ``test_contract.py`` tests the others with every fault."""
every_read = pytest.mark.parametrize("read", READS.values(), ids=READS)


@every_read
def test_a_wrong_password_is_rejected_although_guests_may_read(wiki: WikiServer, read: Read) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        read(wiki.leaf, wiki.open(wiki.source("wrong")))

    assert caught.value.reason is Reason.CREDENTIALS_REJECTED
    assert str(caught.value) == "xWiki answers as a guest: the user name or password is not accepted."


@every_read
def test_a_token_that_the_server_ignores_is_rejected(modern: WikiServer, read: Read) -> None:
    with pytest.raises(ProviderUnavailable, match="the token is not accepted") as caught:
        read(modern.leaf, modern.open(modern.source("T", kind=AuthKind.TOKEN)))

    assert caught.value.reason is Reason.CREDENTIALS_REJECTED


def test_a_token_of_the_extension_authenticates(modern: WikiServer) -> None:
    modern.standin.bearer_tokens["T"] = "alice"

    assert modern.leaf.check(modern.open(modern.source("T", kind=AuthKind.TOKEN))).user == "alice"


def test_the_session_of_a_valid_password_is_not_used_for_a_wrong_one(modern: WikiServer) -> None:
    modern.leaf.check(modern.open())

    with pytest.raises(ProviderUnavailable):
        modern.leaf.check(modern.open(modern.source("wrong")))


def test_a_source_without_an_account_reads_public_pages(wiki: WikiServer) -> None:
    upstream = wiki.open(wiki.source(None))

    assert wiki.leaf.check(upstream).user is None
    assert wiki.leaf.fetch(upstream, "xwiki:Main.WebHome").title == "Home"
    with pytest.raises(NotFound):
        wiki.leaf.fetch(upstream, "xwiki:Secret.WebHome")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unauthorized", Reason.CREDENTIALS_REJECTED),
        ("forbidden", Reason.FORBIDDEN),
        ("wall", Reason.UNEXPECTED_RESPONSE),
        ("rate-limited", Reason.RATE_LIMITED),
        ("overloaded", Reason.RATE_LIMITED),
        ("server-error", Reason.SERVER_ERROR),
        ("unavailable", Reason.SERVER_ERROR),
        ("redirect", Reason.UNEXPECTED_REDIRECT),
        ("huge", Reason.TOO_LARGE),
        ("login-page", Reason.UNEXPECTED_RESPONSE),
        ("empty-body", Reason.UNEXPECTED_RESPONSE),
        ("empty-object", Reason.UNEXPECTED_RESPONSE),
        ("wrong-type", Reason.UNEXPECTED_RESPONSE),
        ("broken-json", Reason.UNEXPECTED_RESPONSE),
    ],
)
@pytest.mark.parametrize("read", OWN_READS)
def test_a_fault_of_the_server_is_never_a_result(modern: WikiServer, read: str, fault: str, reason: Reason) -> None:
    modern.standin.fault = fault

    with pytest.raises(ProviderUnavailable) as caught:
        READS[read](modern.leaf, modern.open())

    assert caught.value.reason is reason


def test_a_401_of_something_in_front_is_no_page_that_is_gone(modern: WikiServer) -> None:
    modern.reply(401, path=f"{REST}/spaces/Main/pages/WebHome", bare=True)

    with pytest.raises(ProviderUnavailable, match="asks for a sign-in of its own") as caught:
        modern.leaf.fetch_many(modern.open(modern.source(None)), ["xwiki:Main.WebHome"])

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_wiki_that_needs_an_account_says_so(modern: WikiServer) -> None:
    modern.standin.fault = "unauthorized"

    with pytest.raises(ProviderUnavailable, match="xWiki needs an account, and there is none") as caught:
        modern.leaf.check(modern.open(modern.source(None)))

    assert caught.value.reason is Reason.FORBIDDEN


def test_a_response_that_is_not_from_xwiki_is_unexpected(modern: WikiServer) -> None:
    modern.reply(200, {"id": "xwiki:Sandbox.TestPage1"}, path=PAGE, kind="application/json", bare=True)

    with pytest.raises(
        ProviderUnavailable, match="without the headers of xWiki \\(XWiki-Version, XWiki-User\\)"
    ) as caught:
        modern.leaf.fetch(modern.open(), "xwiki:Sandbox.TestPage1")

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_404_of_a_starting_server_does_not_mean_that_a_page_is_missing(modern: WikiServer) -> None:
    modern.reply(404, "Not found", path=PAGE, bare=True)
    modern.reply(404, "Not found", path=REST, bare=True)

    with pytest.raises(ProviderUnavailable) as caught:
        modern.leaf.fetch(modern.open(), "xwiki:Sandbox.TestPage1")

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_by_something_in_front_says_nothing_about_a_page(modern: WikiServer, status: int) -> None:
    modern.reply(status, "<h1>No</h1>", path=PAGE, kind="text/html", bare=True)

    for read in (modern.leaf.fetch, modern.leaf.resolve):
        with pytest.raises(ProviderUnavailable, match="in front of") as caught:
            read(modern.open(), "xwiki:Sandbox.TestPage1")
        assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_hidden_version_header_changes_nothing_but_the_version(modern: WikiServer) -> None:
    modern.standin.removed_headers = frozenset({"XWiki-Version"})
    pages = ["xwiki:Sandbox.TestPage1", "xwiki:Sandbox.Nowhere"]

    assert modern.leaf.check(modern.open()) == Identity("alice", None)
    assert modern.leaf.probe_product(modern.open()) == modern.standin.profile.version
    assert [item.state for item in modern.leaf.fetch_many(modern.open(), pages).values()] == [State.LIVE, State.GONE]
    with pytest.raises(ProviderUnavailable, match="the user name or password is not accepted"):
        modern.leaf.check(modern.open(modern.source("wrong")))


@every_read
def test_a_hidden_user_header_is_named(modern: WikiServer, read: Read) -> None:
    modern.standin.removed_headers = frozenset({"XWiki-Version", "XWiki-User", "XWiki-Form-Token"})

    with pytest.raises(ProviderUnavailable, match="XWiki-User") as caught:
        read(modern.leaf, modern.open())

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_source_without_an_account_is_read_without_the_headers(modern: WikiServer) -> None:
    modern.standin.removed_headers = frozenset({"XWiki-Version", "XWiki-User", "XWiki-Form-Token"})

    assert modern.leaf.fetch(modern.open(modern.source(None)), "xwiki:Main.WebHome").title == "Home"


@pytest.mark.parametrize(
    ("username", "hinted"), [("john.doe", True), ("XWiki.john.doe", True), ("XWiki.alice", False), ("alice", False)]
)
def test_a_refused_name_with_a_dot_is_explained(username: str, hinted: bool) -> None:
    problem = _classified(200, {"xwiki-version": "16.10"}, username)

    assert problem is not None
    assert ("a dot in their name cannot sign in" in problem.message) is hinted


def test_the_error_of_an_unknown_wiki_names_the_option(wiki: WikiServer) -> None:
    with pytest.raises(ProviderUnavailable, match="The option “wiki”: there is no wiki “nope” here") as caught:
        wiki.leaf.check(wiki.open(wiki.source(wiki="nope")))

    assert caught.value.reason is Reason.SOURCE_INVALID
    assert caught.value.problem.setting == "options.wiki"


@pytest.mark.parametrize("version", ["13.4", "16.10.2-SNAPSHOT", "99", "unknown"])
def test_newer_versions_must_name_the_user(version: str) -> None:
    problem = _classified(200, {"xwiki-version": version})

    assert problem is not None
    assert problem.reason is Reason.CREDENTIALS_REJECTED


@pytest.mark.parametrize("version", ["13.3", "12.10.11", "5.4"])
def test_older_versions_name_the_guest_for_every_user(version: str) -> None:
    assert _classified(200, {"xwiki-version": version, "xwiki-user": "XWiki.XWikiGuest"}) is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, Reason.CREDENTIALS_REJECTED),
        ({"xwiki-version": "16.10"}, Reason.CREDENTIALS_REJECTED),
        ({"xwiki-version": "16.10", "xwiki-user": "xwiki:XWiki.XWikiGuest"}, Reason.CREDENTIALS_REJECTED),
        ({"xwiki-version": "16.10", "xwiki-user": "xwiki:XWiki.alice", "www-authenticate": "Basic"}, None),
        ({"xwiki-version": "12.10", "www-authenticate": 'Basic realm="XWiki"'}, Reason.CREDENTIALS_REJECTED),
        ({"xwiki-version": "12.10", "xwiki-user": "XWiki.XWikiGuest"}, None),
    ],
)
def test_401_is_a_wrong_password_or_a_denied_page(headers: dict[str, str], reason: Reason | None) -> None:
    problem = _classified(401, headers)

    assert (problem.reason if problem else None) is reason


@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_server_errors_are_classified_by_the_connector(status: int) -> None:
    assert _classified(status, {}) is None


def _classified(status: int, headers: dict[str, str], username: str = "alice") -> Problem | None:
    source = SourceConfig("1", "xwiki", "Wiki", "https://w", Auth(AuthKind.BASIC, username, secret=Secret("secret")))
    response = Answer(status, {"content-type": "application/json", **headers}, b"{}", "GET /rest/wikis/xwiki")
    return XWiki().classify(response, source)


# --- connection test -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["secret", "wrong", None])
def test_the_product_probe_works_with_any_credential(wiki: WikiServer, password: str | None) -> None:
    assert wiki.leaf.probe_product(wiki.open(wiki.source(password))) == wiki.standin.profile.version


def test_another_product_is_not_recognised_as_xwiki(modern: WikiServer) -> None:
    modern.reply(200, {"version": 3}, path="/rest", kind="application/json", bare=True)

    with pytest.raises(ProviderUnavailable, match=r"^That address does not answer as an xWiki\.$") as caught:
        modern.leaf.probe_product(modern.open())

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_the_error_names_the_missing_context_path(modern: WikiServer) -> None:
    root = modern.server.url

    with pytest.raises(ProviderUnavailable, match=f"There is one at {root}/xwiki.$"):
        modern.leaf.probe_product(modern.open(modern.source(root=root)))


def test_the_reading_probe_counts_the_visible_spaces(modern: WikiServer) -> None:
    assert modern.leaf.probe_reading(modern.open()) == "This account sees 5 spaces, among them 07. Dev."


def test_the_reading_probe_reports_that_nothing_is_visible(modern: WikiServer) -> None:
    for space in ("Main", "Sandbox", "Dev", r"07\. Dev"):
        modern.standin.deny_view(space)

    assert modern.leaf.probe_reading(modern.open()) == "This account sees no pages in xWiki."


def test_a_denied_list_of_spaces_is_forbidden(modern: WikiServer) -> None:
    modern.reply(401, path=f"{REST}/spaces")

    with pytest.raises(ProviderUnavailable) as caught:
        modern.leaf.probe_reading(modern.open())

    assert caught.value.reason is Reason.FORBIDDEN


# --- one page ------------------------------------------------------------------------------------------------------


def test_a_page_becomes_a_row(wiki: WikiServer) -> None:
    modified_at = datetime(2026, 11, 23, 9, 41, tzinfo=UTC)
    with_fraction = modified_at.replace(microsecond=250_000)
    wiki.standin.add_page("Dev.Sub.Child", title="Child & Co", version="3.2", modified=with_fraction)

    row = wiki.leaf.row(wiki.leaf.fetch(wiki.open(), "xwiki:Dev.Sub.Child"))

    assert row == {
        "id": "xwiki:Dev.Sub.Child",
        "reference": "xwiki:Dev.Sub.Child",
        "title": "Child & Co",
        "space": "Dev.Sub",
        "page": "Child",
        "url": f"{wiki.root}/bin/view/Dev/Sub/Child",
        "version": "3.2",
        "modified": modified_at,
        "state": "live",
        "breadcrumb": row["breadcrumb"],
    }


def test_breadcrumb_ends_with_the_title(modern: WikiServer) -> None:
    modern.standin.add_page("Dev.WebHome", title="Development")
    modern.standin.add_page("Dev.Sub.Child", title="Child")

    pages = ("Dev.Sub.Child", "Dev.Sub.WebHome", "Main.WebHome")
    found = [_facts(modern, reference)["breadcrumb"] for reference in pages]

    assert found == [["Development", "Sub & Co", "Child"], ["Development", "Sub & Co"], ["Home"]]


def test_breadcrumb_of_old_servers_consists_of_names(legacy: WikiServer) -> None:
    legacy.standin.add_page(r"07\. Dev.Child", title="Child")

    found = [_facts(legacy, reference)["breadcrumb"] for reference in (r"07\. Dev.Child", "Dev.Sub.WebHome")]

    assert found == [["07. Dev", "Child"], ["Dev", "Sub & Co"]]


@pytest.mark.parametrize(
    ("reference", "title", "shown"),
    [
        ("Sandbox.P", "A <em>rendered</em>&nbsp;title", "A rendered title"),
        ("Sandbox.P", "bell\x07 \u202eback", "bell back"),
        ("Sandbox.P", "", "P"),
        ("Sandbox.P", None, "P"),
        ("Dev.Sub.WebHome", "<script>x</script>", "Sub"),
    ],
)
def test_titles_are_plain_text(modern: WikiServer, reference: str, title: str | None, shown: str) -> None:
    page = modern.standin.add_page(reference).reference
    path = f"{REST}/{'/'.join(f'spaces/{space}' for space in page.spaces)}/pages/{page.name}"
    modern.rewrite(lambda body: body.update(title=title, hierarchy=None), path=path)

    item = modern.leaf.fetch(modern.open(), f"xwiki:{reference}")

    assert (item.title, item.facts["breadcrumb"][-1]) == (shown, shown)


@pytest.mark.parametrize(
    "address",
    [
        "http://inner:8080/xwiki/bin/view/Sandbox/TestPage1",
        "javascript:alert(1)",
        "//evil.example/",
        None,
        7,
        "http://127.0.0.1:1/",
        "http://user:secret@{host}/x",
        "http://{host}/\n<b>",
        "http://[",
    ],
)
def test_every_url_is_within_the_instance(modern: WikiServer, address: str | None) -> None:
    sent = address.replace("{host}", modern.server.host_port) if isinstance(address, str) else address
    modern.rewrite(lambda body: body.update(xwikiAbsoluteUrl=sent), path=PAGE)

    assert _item(modern, "Sandbox.TestPage1").url == f"{modern.root}/bin/view/Sandbox/TestPage1"


def test_a_short_url_of_the_server_is_kept(modern: WikiServer) -> None:
    modern.rewrite(lambda body: body.update(xwikiAbsoluteUrl=f"{modern.root}/Sandbox/TestPage1"), path=PAGE)

    assert _item(modern, "Sandbox.TestPage1").url == f"{modern.root}/Sandbox/TestPage1"


@pytest.mark.parametrize("modified", [None, "2026-11-23", True, -1e300, 1e300, [], float("1e18")])
def test_a_malformed_timestamp_is_none(modern: WikiServer, modified: Any) -> None:
    modern.rewrite(lambda body: body.update(modified=modified, version=None), path=PAGE)

    row = modern.leaf.row(_item(modern, "Sandbox.TestPage1"))

    assert (row["modified"], row["version"]) == (None, None)


def test_keys_that_old_servers_do_not_send_are_optional(modern: WikiServer) -> None:
    def strip(body: dict[str, Any]) -> None:
        for key in set(body) - {"id"}:
            del body[key]

    modern.rewrite(strip, path=PAGE)

    assert modern.leaf.row(_item(modern, "Sandbox.TestPage1"))["title"] == "TestPage1"


def test_a_response_without_a_page_is_unexpected(modern: WikiServer) -> None:
    modern.rewrite(dict.clear, path=PAGE)

    with pytest.raises(ProviderUnavailable) as caught:
        _item(modern, "Sandbox.TestPage1")

    assert caught.value.reason is Reason.UNEXPECTED_RESPONSE


def test_an_excerpt_is_returned_only_on_request(wiki: WikiServer) -> None:
    wiki.standin.add_page("Sandbox.P", content="{{velocity}}$secret{{/velocity}}Some **text**.")
    upstream = wiki.open()

    assert wiki.leaf.fetch(upstream, "xwiki:Sandbox.P").excerpt is None
    assert wiki.leaf.fetch(upstream, "xwiki:Sandbox.P", with_excerpt=True).excerpt == "Some text."


@pytest.mark.parametrize(
    "reference", ["xwiki:Sandbox.Nope", "xwiki:Secret.WebHome", "xwiki:Sandbox.a/b", "junk", "docs:A.B"]
)
def test_an_invisible_page_is_not_found(wiki: WikiServer, reference: str) -> None:
    with pytest.raises(NotFound):
        wiki.leaf.fetch(wiki.open(), reference)


def _item(wiki: WikiServer, reference: str) -> Item:
    return wiki.leaf.fetch(wiki.open(), f"xwiki:{reference}")


def _facts(wiki: WikiServer, reference: str) -> Any:
    return _item(wiki, reference).facts


GUEST = "xWiki answers as a guest: the user name or password is not accepted."


# --- accounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("xwiki:XWiki.alice", "alice"),
        (r"xwiki:XWiki.j\.doe", "j.doe"),
        (r"xwiki:XWiki.jane@example\.org", "jane@example.org"),
        ("xwiki:XWiki.a:b", "a:b"),
        ("alice", "alice"),
        ("xwiki:XWiki.XWikiGuest", None),
        ("XWiki.XWikiGuest", None),
        ("", None),
    ],
)
def test_the_name_of_the_account_is_read_with_its_escapes(header: str, user: str | None) -> None:
    assert reported_user(Answer(200, {"xwiki-user": header}, b"", "GET /")) == user


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ("alice", GUEST),
        ("XWiki.alice", GUEST),
        ("j.doe", f"{GUEST} Its own accounts with a dot in their name cannot sign in here; those of LDAP or single sign-on can."),
        ("xwiki:XWiki.alice", "Source 'xwiki' has a user name with a colon, which Basic sign-in cannot carry."),
    ],
)  # fmt: skip
def test_a_rejected_login_says_what_may_be_wrong_with_the_name(modern: WikiServer, login: str, sentence: str) -> None:
    source = replace(modern.source("wrong"), auth=Auth(AuthKind.BASIC, login, secret=Secret("wrong")))

    with pytest.raises(ProviderUnavailable) as refused:
        modern.leaf.check(modern.open(source))

    assert str(refused.value) == sentence


# --- pasted URLs and typed references ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reference", "requests"),
    [
        ("Sandbox.TestPage1", "Sandbox.TestPage1", 1),
        ("Dev.Sub", "Dev.Sub.WebHome", 2),
        ("xwiki:Dev.Sub.WebHome", "Dev.Sub.WebHome", 1),
        (r"07\. Dev.WebHome", r"07\. Dev.WebHome", 1),
        ("{root}/bin/view/Sandbox/TestPage1?language=nl#H1", "Sandbox.TestPage1", 1),
        ("{root}/bin/view/Dev/Sub/", "Dev.Sub.WebHome", 1),
        ("{root}/bin/view/Dev/Sub", "Dev.Sub.WebHome", 2),
        ("{root}/bin/view/07.%20Dev/", r"07\. Dev.WebHome", 1),
        ("{root}/bin/view/07.+Dev", r"07\. Dev.WebHome", 1),
        ("{root}/bin/download/Sandbox/TestPage1/plan.pdf", "Sandbox.TestPage1", 1),
        ("{root}", "Main.WebHome", 1),
        ("{root}/", "Main.WebHome", 1),
        ("{root}/Sandbox/TestPage1", "Sandbox.TestPage1", 2),
        ("Sandbox/TestPage1", "Sandbox.TestPage1", 1),
        ("Sandbox · TestPage1", "Sandbox.TestPage1", 1),
        ("Dev › Sub", "Dev.Sub.WebHome", 1),
        ("Sandbox › TestPage1", "Sandbox.TestPage1", 2),
        ("[[The page>>doc:xwiki:Sandbox.TestPage1]]", "Sandbox.TestPage1", 1),
        ("{root}/bin/edit/Sandbox/TestPage1?editor=wiki", "Sandbox.TestPage1", 1),
        ("{root}/rest/wikis/xwiki/spaces/Sandbox/pages/TestPage1", "Sandbox.TestPage1", 1),
        ("Sandbox.Hid", "Sandbox.Hid", 2),
    ],
)
def test_a_page_resolves_by_url_or_reference(wiki: WikiServer, text: str, reference: str, requests: int) -> None:
    with wiki.standin.counting() as seen:
        item = wiki.leaf.resolve(wiki.open(), text.replace("{root}", wiki.root))

    assert item.reference == f"xwiki:{reference}"
    assert len(seen) == requests


def test_a_terminal_page_takes_precedence_over_a_space_of_the_same_name(wiki: WikiServer) -> None:
    wiki.standin.add_page("Dev.Sub", title="Of its own")

    assert wiki.leaf.resolve(wiki.open(), f"{wiki.root}/bin/view/Dev/Sub").title == "Of its own"
    assert wiki.leaf.resolve(wiki.open(), f"{wiki.root}/bin/view/Dev/Sub/").title == "Sub & Co"


@pytest.mark.parametrize(
    "name", ["A+B", "50% & more?", "Ünïcode ß 文", "semi;colon", "a:b", "# hash", "dot.dot", "q'uote\""]
)
def test_special_characters_in_names_are_preserved(wiki: WikiServer, name: str) -> None:
    reference = "Sandbox." + name.replace(".", "\\.")
    wiki.standin.add_page(reference, title="Odd")

    item = wiki.leaf.resolve(wiki.open(), reference)

    assert (item.title, item.facts["page"]) == ("Odd", name)
    assert wiki.leaf.resolve(wiki.open(), item.url).reference == item.reference


def test_the_reference_is_the_id_in_the_response(modern: WikiServer) -> None:
    modern.rewrite(lambda body: body.update(id="xwiki:Sandbox.testpage1"), path=PAGE)

    assert modern.leaf.resolve(modern.open(), "Sandbox.TestPage1").reference == "xwiki:Sandbox.testpage1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Secret.WebHome", "xWiki does not show this page to our account."),
        ("Secret.Nope", "xWiki does not show this page to our account."),
        ("Sandbox.Nope", "xWiki has no page “Sandbox.Nope”."),
    ],
)
def test_the_error_distinguishes_denied_from_missing_pages(wiki: WikiServer, text: str, sentence: str) -> None:
    with pytest.raises(NotFound, match=f"^{sentence}$"):
        wiki.leaf.resolve(wiki.open(), text)


@pytest.mark.parametrize("text", ["Sandbox", "docs:A.B", "A..B", "{root}/bin/login/A/B", "{root}/bin/view/A/%2e%2e/B"])
def test_text_that_is_not_a_page_is_rejected_without_a_request(modern: WikiServer, text: str) -> None:
    with modern.standin.counting() as seen, pytest.raises(InvalidInput):
        modern.leaf.resolve(modern.open(), text.replace("{root}", modern.root))

    assert seen == []


@pytest.mark.parametrize("name", ["a/b", r"a\\b", "/", r"a/b\\c/"])
def test_a_name_with_a_slash_is_found_where_the_server_takes_it(recent: WikiServer, name: str) -> None:
    recent.standin.add_page(f"Sandbox.{name}", title="Odd")

    item = recent.leaf.resolve(recent.open(), f"xwiki:Sandbox.{name}")

    assert (item.reference, item.title) == (f"xwiki:Sandbox.{name}", "Odd")
    assert recent.leaf.fetch(recent.open(), item.reference).title == "Odd"
    assert recent.leaf.resolve(recent.open(), item.url).reference == item.reference
    assert recent.leaf.fetch_many(recent.open(), [item.reference])[item.reference].title == "Odd"


@pytest.mark.parametrize("path", ["", "/wiki", "/xwiki/bin", "/a%20b"])
@pytest.mark.parametrize("is_home_visible", [True, False])
def test_a_short_address_is_read_as_the_wiki_builds_it(recent: WikiServer, path: str, is_home_visible: bool) -> None:
    recent.standin.public_url, recent.standin.view_path = recent.server.url, path
    recent.standin.add_page("Dev.Sub.WebHome", title="Nested")
    if not is_home_visible:
        recent.standin.deny_view("Main")
    upstream = recent.open()

    with recent.standin.counting() as seen:
        found = [
            recent.leaf.resolve(upstream, f"{recent.server.url}{path}/{names}?x=1#y").reference
            for names in ("Sandbox/TestPage1", "Dev/Sub/", "Dev/Sub/")
        ]

    assert found == ["xwiki:Sandbox.TestPage1", "xwiki:Dev.Sub.WebHome", "xwiki:Dev.Sub.WebHome"]
    learning = 0 if path == "/xwiki/bin" else 1 if is_home_visible else 3
    assert len(seen) == 3 + learning


def test_an_address_that_the_wiki_does_not_build_is_another_place(recent: WikiServer) -> None:
    with pytest.raises(WrongHost, match=r"/other\. There is no source for it yet"):
        recent.leaf.resolve(recent.open(), f"{recent.server.url}/other/Sandbox/TestPage1")


@pytest.mark.parametrize("text", ["{root}/bin/view/Sandbox/a%2Fb", r"Sandbox.a\\b", "Sandbox.a/b"])
def test_a_name_that_the_server_refuses_is_said_to_be_refused(modern: WikiServer, text: str) -> None:
    with pytest.raises(NotFound, match="refuses addresses with a slash or backslash in a name"):
        modern.leaf.resolve(modern.open(), text.replace("{root}", modern.root))


def test_a_400_of_xwiki_itself_is_no_refusal_of_its_server(modern: WikiServer) -> None:
    own = {"XWiki-Version": "16.10.2", "XWiki-User": "xwiki:XWiki.alice"}
    modern.standin.answer = lambda request: Response("", 400, own)  # type: ignore[method-assign]

    with pytest.raises(ProviderUnavailable) as failure:
        modern.leaf.resolve(modern.open(), "xwiki:Sandbox.a/b")

    assert failure.value.reason is Reason.UNEXPECTED_RESPONSE


def test_a_page_of_another_host_is_rejected_without_a_request(modern: WikiServer) -> None:
    with modern.standin.counting() as seen, pytest.raises(WrongHost):
        modern.leaf.resolve(modern.open(), "https://other.example.org/xwiki/bin/view/Sandbox/TestPage1")

    assert seen == []


@pytest.mark.parametrize(("kind", "accepted"), [("bin", True), ("wiki/docs", False)])
def test_a_url_without_a_wiki_id_belongs_to_a_subwiki_only_on_its_own_host(
    modern: WikiServer, kind: str, accepted: bool
) -> None:
    page = {"id": "docs:A.B", "xwikiAbsoluteUrl": f"{modern.root}/{kind}/view/A/B"}
    modern.reply(200, page, path="/rest/wikis/docs/spaces/A/pages/B", kind="application/json")
    upstream = modern.open(modern.source(wiki="docs"))

    try:
        found = modern.leaf.resolve(upstream, f"{modern.root}/bin/view/A/B").reference
    except InvalidInput:
        found = ""

    assert found == ("docs:A.B" if accepted else "")


# --- choices and update --------------------------------------------------------------------------------------------


def test_choices_of_other_fields_are_not_supported(modern: WikiServer) -> None:
    with pytest.raises(NotSupported):
        modern.leaf.find_choices(modern.open(), "title", {})


def test_update_is_not_supported_and_sends_nothing(modern: WikiServer) -> None:
    with modern.standin.counting() as seen, pytest.raises(NotSupported):
        modern.leaf.update(modern.open(), "xwiki:Sandbox.TestPage1", {"title": "x"})

    assert seen == []


# --- fingerprint ---------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_the_creation_time_of_the_home_page(modern: WikiServer) -> None:
    fingerprint = modern.leaf.fingerprint(modern.open())
    created = modern.standin.page("Main.WebHome").created
    modern.standin.add_page("Main.WebHome", title="Another title", version="7.1", created=created)

    assert fingerprint == modern.leaf.fingerprint(modern.open()) == {"home": "1709284364318"}


def test_the_fingerprint_is_empty_if_the_home_page_is_denied(modern: WikiServer) -> None:
    modern.standin.deny_view("Main")

    assert modern.leaf.fingerprint(modern.open()) == {}
