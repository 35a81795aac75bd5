"""The xWiki stand-in behaves like the real server, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
import requests

from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn

ALICE = ("alice", "secret")
BOB = ("bob", "builder")
JSON = {"Accept": "application/json"}
XML = {"Content-Type": "application/xml", "Accept": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
TESTPAGE = "/wikis/xwiki/spaces/Sandbox/pages/TestPage1"
NEW = "/wikis/xwiki/spaces/Sandbox/pages/New1"
TOKEN_ERROR = "Invalid or missing form token."


def page_xml(title: str, content: str, extra: str = "") -> bytes:
    return (
        f'<page xmlns="http://www.xwiki.org"><title>{title}</title><syntax>xwiki/2.1</syntax>'
        f"{extra}<content>{content}</content></page>"
    ).encode()


class Site:
    """A running stand-in and a client without cookies."""

    def __init__(self, standin: XWikiStandIn) -> None:
        self.standin = standin
        self.server = RunningServer(mounted(xwiki=standin))
        self.base = f"{self.server.url}/xwiki"

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("headers", JSON)
        options.setdefault("timeout", 20)
        return requests.request(method, f"{self.base}/rest{path}", allow_redirects=False, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.send("GET", path, **options)

    def put(self, path: str, body: bytes, *, auth: tuple[str, str] | None = ALICE, **options: Any) -> requests.Response:
        options.setdefault("headers", XML)
        return self.send("PUT", path, data=body, auth=auth, **options)

    def query(self, kind: str, q: str, *, auth: tuple[str, str] | None = ALICE, **params: Any) -> list[dict[str, Any]]:
        response = self.get("/wikis/xwiki/query", params={"type": kind, "q": q, "number": 50, **params}, auth=auth)
        assert response.status_code == 200, response.text
        return response.json()["searchResults"]

    def ids(self, kind: str, q: str, **options: Any) -> list[str]:
        return [hit["id"] for hit in self.query(kind, q, **options)]


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Return a function that starts stand-ins, which run until the test ends."""
    sites: list[Site] = []

    def start(profile: str = "modern", **options: Any) -> Site:
        sites.append(Site(XWikiStandIn(profile, **{"solr_lag": None, **options})))
        return sites[-1]

    yield start
    for site in sites:
        site.server.close()


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    return serve()


# --- the conformance cases -------------------------------------------------------------------------------------


def test_case_01_root_shows_its_version_to_guests(site: Site) -> None:
    response = site.get("/")

    assert response.status_code == 200
    assert response.json()["version"] == response.headers["XWiki-Version"] == "16.10.2"
    assert "XWiki-User" not in response.headers
    assert "http://www.xwiki.org/rel/wikis" in [link["rel"] for link in response.json()["links"]]


def test_case_02_root_names_the_authenticated_user(site: Site) -> None:
    response = site.get("/", auth=ALICE)

    assert response.status_code == 200
    assert response.headers["XWiki-User"] == "xwiki:XWiki.alice"
    assert response.headers["XWiki-Form-Token"]


def test_case_03_wrong_password_makes_the_request_a_guest(site: Site) -> None:
    response = site.get("/wikis/xwiki", auth=("alice", "WRONG"))

    assert response.status_code == 200
    assert "XWiki-User" not in response.headers


def test_case_03_wrong_password_is_rejected_by_old_servers(serve: Callable[..., Site]) -> None:
    response = serve("legacy").get("/wikis/xwiki", auth=("alice", "WRONG"))

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="XWiki"'


def test_case_04_page_has_the_expected_json(site: Site) -> None:
    page = site.get(TESTPAGE).json()

    assert (page["id"], page["space"], page["name"]) == ("xwiki:Sandbox.TestPage1", "Sandbox", "TestPage1")
    assert page["language"] == ""
    assert isinstance(page["modified"], int)
    assert page["modified"] > 1e12
    assert page["objects"] is None
    assert page["hidden"] is False
    assert (page["version"], page["majorVersion"], page["minorVersion"]) == ("3.2", 3, 2)


def test_case_05_xml_is_the_default(site: Site) -> None:
    response = site.get(TESTPAGE, headers={"Accept": None})

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/xml")
    root = ElementTree.fromstring(response.content)
    assert root.tag == "{http://www.xwiki.org}page"
    assert root.findtext("{http://www.xwiki.org}content") == "**Bold** words to find."


def test_case_05_media_parameter_replaces_the_accept_header(site: Site) -> None:
    response = site.get(f"{TESTPAGE}?media=json", headers={"Accept": "application/xml"})

    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["id"] == "xwiki:Sandbox.TestPage1"


def test_case_06_hierarchy_is_the_path_from_the_wiki_to_the_document(site: Site) -> None:
    page = site.get("/wikis/xwiki/spaces/Dev/spaces/Sub/pages/WebHome?prettyNames=true").json()

    items = page["hierarchy"]["items"]
    assert [item["type"] for item in items] == ["wiki", "space", "space", "document"]
    assert [item["name"] for item in items] == ["xwiki", "Dev", "Sub", "WebHome"]
    assert [item["label"] for item in items[1:]] == ["Dev", "Sub & Co", "Sub & Co"]
    assert page["authorName"] == "Alice Liddell"


def test_case_07_missing_page_is_404(site: Site) -> None:
    assert site.get("/wikis/xwiki/spaces/Sandbox/pages/Nope").status_code == 404


@pytest.mark.parametrize(("auth", "user"), [(None, None), (ALICE, "xwiki:XWiki.alice")])
def test_case_08_denied_page_is_401_for_guests_and_users(
    site: Site, auth: tuple[str, str] | None, user: str | None
) -> None:
    response = site.get("/wikis/xwiki/spaces/Secret/pages/WebHome", auth=auth)

    assert response.status_code == 401
    assert response.headers.get("XWiki-User") == user
    assert "json" not in response.headers.get("Content-Type", "")


@pytest.mark.parametrize("space", ["07.%20Dev", "07.+Dev"])
def test_case_09_dots_are_unescaped_and_plus_is_a_space_in_paths(site: Site, space: str) -> None:
    response = site.get(f"/wikis/xwiki/spaces/{space}/pages/WebHome")

    assert response.status_code == 200
    assert response.json()["space"] == r"07\. Dev"
    assert response.json()["id"] == r"xwiki:07\. Dev.WebHome"


def test_case_10_put_creates_a_page(site: Site) -> None:
    response = site.put(NEW, page_xml("New &amp; shiny", "Some text"))

    assert response.status_code == 201
    assert response.headers["Location"] == f"{site.base}/rest{NEW}"
    assert response.json()["version"] == "1.1"
    assert site.get(NEW).json()["content"] == "Some text"


def test_case_11_put_overwrites_without_a_conflict(site: Site) -> None:
    site.put(NEW, page_xml("New", "First"))

    response = site.put(NEW, page_xml("New", "Second"))

    assert response.status_code == 202
    assert response.json()["version"] == "2.1"
    assert site.get(NEW).json()["content"] == "Second"


@pytest.mark.parametrize(
    ("auth", "path"),
    [(None, NEW), (ALICE, "/wikis/xwiki/spaces/Dev/pages/New1"), (ALICE, "/wikis/xwiki/spaces/Secret/pages/New1")],
)
def test_case_12_put_without_the_right_is_401_and_changes_nothing(
    site: Site, auth: tuple[str, str] | None, path: str
) -> None:
    pages = dict(site.standin.wiki.pages)

    response = site.put(path, page_xml("New", "Text"), auth=auth)

    assert response.status_code == 401
    assert site.standin.wiki.pages == pages


def test_case_13_form_post_requires_the_form_token(site: Site) -> None:
    site.put(NEW, page_xml("New", "First"))

    refused = site.send("POST", f"{NEW}?method=PUT", data="content=Second", headers=FORM, auth=ALICE)

    assert refused.status_code == 403
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert refused.text == TOKEN_ERROR
    assert site.get(NEW).json()["content"] == "First"


def test_case_13_form_post_with_the_token_of_an_earlier_response_succeeds(site: Site) -> None:
    site.put(NEW, page_xml("New", "First"))
    token = site.get("/", auth=ALICE).headers["XWiki-Form-Token"]

    headers = FORM | {"XWiki-Form-Token": token}
    response = site.send("POST", f"{NEW}?method=PUT", data="content=Second", headers=headers, auth=ALICE)

    assert response.status_code == 202
    assert site.get(NEW).json()["content"] == "Second"


@pytest.mark.parametrize("body", [b"<page><title>x</title></page>", b"<invalidPage/>", b"<page", b"", b"plain"])
def test_case_14_put_of_a_body_that_is_not_a_page_is_400(site: Site, body: bytes) -> None:
    assert site.put(NEW, body).status_code == 400
    assert not site.standin.has_page("Sandbox.New1")


def test_case_15_keyword_search_has_the_expected_json(site: Site) -> None:
    response = site.get("/wikis/xwiki/search?q=test&scope=title&scope=name&number=10").json()

    assert set(response) == {"links", "searchResults", "template"}
    (hit,) = response["searchResults"]
    assert (hit["pageFullName"], hit["title"], hit["type"]) == ("Sandbox.TestPage1", "Test page one", "page")
    assert hit["hierarchy"]["items"][-1]["url"] == f"{site.base}/bin/view/Sandbox/TestPage1"
    assert "content" not in hit
    assert "xwikiAbsoluteUrl" not in hit


def test_case_16_solr_fetches_a_batch_of_visible_pages(site: Site) -> None:
    names = ("Sandbox.TestPage1", "Dev.Sub.WebHome", "Secret.WebHome")
    wanted = " OR ".join(f'"document:xwiki:{name}"' for name in names)

    found = site.ids("solr", f"reference:({wanted})")

    assert sorted(found) == ["xwiki:Dev.Sub.WebHome", "xwiki:Sandbox.TestPage1"]


XWQL = "where doc.fullName in ('Sandbox.TestPage1','Dev.Sub.WebHome')"


def test_case_17_xwql_fetches_a_batch(site: Site) -> None:
    assert site.ids("xwql", XWQL) == ["xwiki:Dev.Sub.WebHome", "xwiki:Sandbox.TestPage1"]


def test_case_17_xwql_is_rejected_by_new_servers(serve: Callable[..., Site]) -> None:
    response = serve("solr-only").get("/wikis/xwiki/query", params={"type": "xwql", "q": XWQL})

    assert response.status_code == 400


def test_case_17_query_without_a_type_is_empty(site: Site) -> None:
    response = site.get("/wikis/xwiki/query", params={"q": XWQL})

    assert response.status_code == 200
    assert response.json()["searchResults"] == []


def test_case_18_pages_are_found_by_a_substring_of_their_name(site: Site) -> None:
    summaries = site.get("/wikis/xwiki/pages?name=sandbox").json()["pageSummaries"]

    assert [one["fullName"] for one in summaries] == ["Sandbox.Hid", "Sandbox.TestPage1", "Sandbox.WebHome"]
    assert {one["version"] for one in summaries} == {None}
    assert all(one["xwikiAbsoluteUrl"].startswith(f"{site.base}/bin/view/Sandbox/") for one in summaries)


def test_case_18_pages_lists_25_by_default_and_no_denied_pages(site: Site) -> None:
    for number in range(30):
        site.standin.add_page(f"Many.P{number:02}")

    summaries = site.get("/wikis/xwiki/pages").json()["pageSummaries"]

    assert len(summaries) == 25
    everything = site.get("/wikis/xwiki/pages?number=100").json()["pageSummaries"]
    assert len(everything) == 36
    assert "xwiki:Secret.WebHome" not in [one["id"] for one in everything]


@pytest.mark.parametrize("number", [1001, -1])
def test_case_19_number_has_a_limit_in_new_servers(serve: Callable[..., Site], number: int) -> None:
    response = serve("solr-only").get(f"/wikis/xwiki/pages?number={number}")

    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.text == (
        f"Invalid limit value: {number}. The limit must be a positive integer and less than or equal to 1000."
    )


def test_case_20_missing_spaces_keyword_is_500(site: Site) -> None:
    response = site.get("/wikis/xwiki/spaces/A/B/pages/C")

    assert response.status_code == 500
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.text == "Malformed URL: the spaces section is invalid."


# --- authentication --------------------------------------------------------------------------------------------


def test_session_cookie_takes_precedence_over_credentials(site: Site) -> None:
    with requests.Session() as session:
        first = session.get(f"{site.base}/rest/", auth=ALICE, timeout=20)
        second = session.get(f"{site.base}/rest/", auth=("bob", "WRONG"), timeout=20)

    assert "Path=/xwiki" in first.headers["Set-Cookie"]
    assert second.headers["XWiki-User"] == "xwiki:XWiki.alice"


def test_old_server_names_the_guest_even_after_a_login(serve: Callable[..., Site]) -> None:
    site = serve("legacy")

    response = site.put(NEW, page_xml("New", "Text"))

    assert response.status_code == 201
    assert response.headers["XWiki-User"] == "XWiki.XWikiGuest"
    assert "XWiki-Form-Token" not in response.headers


def test_old_server_lacks_the_newer_keys_of_a_page(serve: Callable[..., Site]) -> None:
    page = serve("legacy").get(TESTPAGE).json()

    assert page["title"] == "Test page one"
    assert not {"rawTitle", "hierarchy", "rights", "originalMetadataAuthor"} & page.keys()


@pytest.mark.parametrize("login", ["alice", "XWiki.alice"])
def test_login_can_be_a_local_reference(site: Site, login: str) -> None:
    assert site.get("/", auth=(login, " secret ")).headers["XWiki-User"] == "xwiki:XWiki.alice"


def test_bearer_authenticates_only_with_a_token_of_the_extension(site: Site) -> None:
    site.standin.bearer_tokens["tok-1"] = "alice"

    known = site.get("/", headers=JSON | {"Authorization": "Bearer tok-1"})
    unknown = site.get("/", headers=JSON | {"Authorization": "Bearer tok-2"})

    assert known.headers["XWiki-User"] == "xwiki:XWiki.alice"
    assert (unknown.status_code, unknown.headers.get("XWiki-User")) == (200, None)


def test_guest_access_can_be_disabled(site: Site) -> None:
    site.standin.guests_may_view = False

    assert site.get(TESTPAGE).status_code == 401
    assert site.get(TESTPAGE, auth=ALICE).status_code == 200


def test_missing_page_in_a_denied_space_is_401(site: Site) -> None:
    assert site.get("/wikis/xwiki/spaces/Secret/pages/Nope", auth=ALICE).status_code == 401


# --- paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a%2Fb", "a%5Cb", "a%2fb"])
def test_slashes_inside_a_name_are_rejected(site: Site, name: str) -> None:
    response = site.get(f"/wikis/xwiki/spaces/Sandbox/pages/{name}")

    assert response.status_code == 400
    assert "XWiki-Version" not in response.headers


def test_encoded_plus_is_a_plus(site: Site) -> None:
    site.standin.add_page("Sandbox.R&D + more", title="Plus")

    assert site.get("/wikis/xwiki/spaces/Sandbox/pages/R%26D%20%2B%20more").json()["name"] == "R&D + more"
    assert site.get("/wikis/xwiki/spaces/Sandbox/pages/R&D+%2B+more").status_code == 200
    assert site.get("/wikis/xwiki/spaces/Sandbox/pages/R%26D+++more").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/wikis/other", 404),
        ("/wikis/xwiki/nothing", 404),
        (f"{TESTPAGE}/", 200),
        ("/wikis/xwiki/user", 404),
        ("/wikis/xwiki/pages?number=ten", 404),
        ("//wikis//xwiki", 404),
        ("/syntaxes", 200),
        ("/wikis", 200),
    ],
)
def test_path_has_its_status(site: Site, path: str, status: int) -> None:
    assert site.get(path).status_code == status


def test_global_query_takes_precedence_over_a_wiki_of_that_name(site: Site) -> None:
    response = site.get("/wikis/query", params={"q": "fullname:Sandbox.TestPage1", "wikis": "xwiki"})

    assert [hit["id"] for hit in response.json()["searchResults"]] == ["xwiki:Sandbox.TestPage1"]


def test_instance_can_be_at_the_server_root() -> None:
    server = RunningServer(XWikiStandIn())
    try:
        page = requests.get(f"{server.url}/rest{TESTPAGE}", headers=JSON, timeout=20).json()
    finally:
        server.close()

    assert page["xwikiAbsoluteUrl"] == f"{server.url}/bin/view/Sandbox/TestPage1"
    assert page["xwikiRelativeUrl"] == page["xwikiAbsoluteUrl"]


def test_unsupported_media_type_is_406(site: Site) -> None:
    assert site.get(TESTPAGE, headers={"Accept": "text/html"}).status_code == 406


def test_head_reports_existence_without_a_body(site: Site) -> None:
    found = site.send("HEAD", TESTPAGE)

    assert (found.status_code, found.content) == (200, b"")
    assert site.send("HEAD", "/wikis/xwiki/spaces/Sandbox/pages/Nope").status_code == 404


# --- titles and lists ------------------------------------------------------------------------------------------

NASTY = '<script>alert(1)</script> & "co"'


def test_title_is_rendered_on_a_page_and_plain_in_solr(site: Site) -> None:
    site.standin.add_page("Sandbox.Nasty", title=NASTY)

    page = site.get("/wikis/xwiki/spaces/Sandbox/pages/Nasty").json()
    (hit,) = site.query("solr", "fullname:Sandbox.Nasty")

    assert page["title"] == '&lt;script&gt;alert(1)&lt;/script&gt; &amp; "co"'
    assert page["rawTitle"] == NASTY
    assert hit["title"] == NASTY


@pytest.mark.parametrize(("reference", "title"), [("Sandbox.Untitled", "Untitled"), ("Sandbox.Deep.WebHome", "Deep")])
def test_title_of_an_untitled_page_is_its_name(site: Site, reference: str, title: str) -> None:
    site.standin.add_page(reference)

    (hit,) = site.query("xwql", f"where doc.fullName = '{reference}'")

    assert hit["title"] == title


def test_denied_rows_shorten_a_result_page_that_is_not_the_last(site: Site) -> None:
    path = "/wikis/xwiki/pages?number=1&start="

    rows = [site.get(f"{path}{start}").json()["pageSummaries"] for start in range(7)]

    assert [len(page) for page in rows] == [1, 1, 1, 1, 1, 1, 0]
    site.standin.deny_view("Dev")
    assert site.get(f"{path}1").json()["pageSummaries"] == []
    assert site.get(f"{path}2").json()["pageSummaries"][0]["id"] == "xwiki:Main.WebHome"


def test_spaces_are_listed_with_their_home_pages(site: Site) -> None:
    spaces = site.get("/wikis/xwiki/spaces").json()["spaces"]

    assert [one["id"] for one in spaces] == [
        r"xwiki:07\. Dev",
        "xwiki:Dev",
        "xwiki:Dev.Sub",
        "xwiki:Main",
        "xwiki:Sandbox",
    ]
    assert [one["home"] for one in spaces][1:3] == [None, "xwiki:Dev.Sub.WebHome"]


def test_pages_of_a_space_and_children_of_a_page_are_listed(site: Site) -> None:
    site.standin.add_page("Dev.Child", parent="Sandbox.WebHome")

    listed = site.get("/wikis/xwiki/spaces/Sandbox/pages").json()["pageSummaries"]
    path = "/wikis/xwiki/spaces/Sandbox/pages/WebHome/children"
    children = site.get(path).json()["pageSummaries"]
    nested = site.get(f"{path}?hierarchy=nestedpages").json()["pageSummaries"]

    assert [one["name"] for one in listed] == ["TestPage1", "WebHome"]
    assert [one["name"] for one in children] == ["Child"]
    assert children[0]["parentId"] == "xwiki:Sandbox.WebHome"
    assert [one["name"] for one in nested] == ["TestPage1"]


# --- search ----------------------------------------------------------------------------------------------------


def keyword_search_ids(site: Site, query: str) -> list[str]:
    response = site.get(f"/wikis/xwiki/search?{query}", auth=ALICE)
    assert response.status_code == 200
    return [hit["id"] for hit in response.json()["searchResults"]]


def test_scopes_joined_by_commas_are_unknown_and_search_content_only(site: Site) -> None:
    assert keyword_search_ids(site, "q=test+page&scope=title,name") == []
    assert keyword_search_ids(site, "q=words+to&scope=title,name") == ["xwiki:Sandbox.TestPage1"]


@pytest.mark.parametrize(
    ("profile", "words", "found"),
    [
        ("modern", "est pag", ["xwiki:Sandbox.TestPage1"]),
        ("modern", "page test", []),
        ("solr-only", "page test", ["xwiki:Sandbox.TestPage1"]),
        ("solr-only", "tes", ["xwiki:Sandbox.TestPage1"]),
        ("solr-only", "est", []),
        ("solr-only", "Sandbox.TestPage1", ["xwiki:Sandbox.TestPage1"]),
    ],
)
def test_keywords_are_a_substring_in_the_database_and_words_in_solr(
    serve: Callable[..., Site], profile: str, words: str, found: list[str]
) -> None:
    assert keyword_search_ids(serve(profile), f"q={words}&scope=title&scope=name") == found


def test_space_scope_adds_hits_of_type_space(site: Site) -> None:
    (hit,) = site.get("/wikis/xwiki/search?q=Sub&scope=spaces").json()["searchResults"]

    assert (hit["type"], hit["id"], hit["pageFullName"]) == ("space", "Dev.Sub", None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("fullname:(Sandbox.TestPage1 OR Dev.Sub.WebHome)", ["Dev.Sub.WebHome", "Sandbox.TestPage1"]),
        ('fullname:("Sandbox.TestPage1")', ["Sandbox.TestPage1"]),
        (r'reference:("document:xwiki:07\\. Dev.WebHome")', [r"07\. Dev.WebHome"]),
        (r"reference:document\:xwiki\:Dev.Sub.WebHome", ["Dev.Sub.WebHome"]),
        ('wiki:xwiki AND (reference:("document:xwiki:Dev.Sub.WebHome"))', ["Dev.Sub.WebHome"]),
        ('wiki:other AND (reference:("document:xwiki:Dev.Sub.WebHome"))', []),
        ("page", ["Dev.Sub.WebHome", "Sandbox.TestPage1"]),
        ("test AND one", ["Sandbox.TestPage1"]),
        ("page -bold", ["Dev.Sub.WebHome"]),
        ("title:tes*", ["Sandbox.TestPage1"]),
        ("tit", []),
        ("*:*", [r"07\. Dev.WebHome", "Dev.Sub.WebHome", "Main.WebHome", "Sandbox.TestPage1", "Sandbox.WebHome"]),
    ],
)
def test_solr_queries(site: Site, query: str, found: list[str]) -> None:
    assert sorted(site.ids("solr", query)) == [f"xwiki:{name}" for name in found]


def test_solr_hit_has_score_and_no_hierarchy(site: Site) -> None:
    (hit,) = site.query("solr", "fullname:Sandbox.TestPage1")

    assert hit["score"] > 0
    assert hit["hierarchy"] is None
    assert hit["version"] == "3.2"


@pytest.mark.parametrize(
    ("kind", "params"), [("solr", {"q": "test", "orderField": "nope"}), ("xwql", {"q": "where doc.nope=1"})]
)
def test_invalid_query_is_500_in_plain_text(site: Site, kind: str, params: dict[str, str]) -> None:
    response = site.get("/wikis/xwiki/query", params={"type": kind, **params})

    assert response.status_code == 500
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("query", ['title:("open', "a AND"])
def test_syntax_error_finds_nothing_in_the_index(site: Site, query: str) -> None:
    assert site.ids("solr", query) == []


@pytest.mark.parametrize(("profile", "status"), [("modern", 500), ("solr-only", 400)])
def test_unknown_query_type_is_an_error(serve: Callable[..., Site], profile: str, status: int) -> None:
    assert serve(profile).get("/wikis/xwiki/query?type=lucene&q=x").status_code == status


@pytest.mark.parametrize("query", ["select doc.fullName from Document doc", "SELECT 1"])
def test_complete_select_statement_has_no_results(site: Site, query: str) -> None:
    assert site.ids("xwql", query) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("where doc.fullName = 'Dev.Sub.WebHome'", ["Dev.Sub.WebHome"]),
        ("where lower(doc.title) like '%page%' and doc.hidden = false", ["Sandbox.TestPage1"]),
        ("where doc.name = 'Hid' or (doc.title = 'Home' and not doc.hidden = true)", ["Main.WebHome", "Sandbox.Hid"]),
        ("where doc.fullName in ('It''s.Here')", ["It's.Here"]),
        ("where doc.space = 'Dev.Sub' or doc.name = 'Hid' order by doc.title desc", ["Dev.Sub.WebHome", "Sandbox.Hid"]),
    ],
)
def test_xwql_queries(site: Site, query: str, found: list[str]) -> None:
    site.standin.add_page("It's.Here")

    assert site.ids("xwql", query) == [f"xwiki:{name}" for name in found]


@pytest.mark.parametrize(
    ("kind", "query", "params"),
    [
        ("solr", "space_exact:Dates", {"orderField": "date", "order": "desc"}),
        ("xwql", "where doc.space = 'Dates' order by doc.date desc", {}),
    ],
)
def test_query_orders_by_date(site: Site, kind: str, query: str, params: dict[str, str]) -> None:
    for name, day in (("A", 2), ("B", 9), ("C", 5)):
        site.standin.add_page(f"Dates.{name}", modified=datetime(2026, 1, day, tzinfo=UTC))

    assert site.ids(kind, query, **params) == ["xwiki:Dates.B", "xwiki:Dates.C", "xwiki:Dates.A"]


def test_database_queries_can_be_switched_off(site: Site) -> None:
    site.standin.xwql_enabled = False

    assert site.get("/wikis/xwiki/query", params={"type": "xwql", "q": XWQL}).status_code == 400
    assert site.ids("solr", "fullname:Sandbox.TestPage1") == ["xwiki:Sandbox.TestPage1"]


def test_solr_shows_hidden_pages_only_with_the_programming_right(site: Site) -> None:
    assert site.ids("solr", "fullname:Sandbox.Hid") == []

    site.standin.grant_programming("alice")

    assert site.ids("solr", "fullname:Sandbox.Hid") == ["xwiki:Sandbox.Hid"]


def test_translation_is_a_second_hit_of_the_same_page(site: Site) -> None:
    site.standin.add_translation("Sandbox.TestPage1", "fr", title="Page d'essai")

    hits = site.query("solr", "fullname:Sandbox.TestPage1")

    assert sorted((hit["id"], hit["language"] or "") for hit in hits) == [
        ("xwiki:Sandbox.TestPage1", ""),
        ("xwiki:Sandbox.TestPage1", "fr"),
    ]
    assert site.get(f"{TESTPAGE}/translations/fr").json()["language"] == "fr"
    assert site.get(f"{TESTPAGE}/translations/de").status_code == 404


# --- index lag -------------------------------------------------------------------------------------------------


def test_solr_misses_a_new_page_until_it_is_indexed(site: Site) -> None:
    site.put(NEW, page_xml("New", "Text"))
    before = site.ids("solr", "fullname:Sandbox.New1")

    site.standin.index()

    assert before == []
    assert site.ids("xwql", "where doc.fullName = 'Sandbox.New1'") == ["xwiki:Sandbox.New1"]
    assert site.ids("solr", "fullname:Sandbox.New1") == ["xwiki:Sandbox.New1"]


def test_renamed_page_is_found_under_its_old_name_until_it_is_indexed(site: Site) -> None:
    site.standin.rename_page("Sandbox.TestPage1", "Sandbox.Renamed")
    before = site.ids("solr", "title:test")

    site.standin.index()

    assert before == ["xwiki:Sandbox.TestPage1"]
    assert site.get(TESTPAGE).status_code == 404
    assert site.ids("solr", "title:test") == ["xwiki:Sandbox.Renamed"]


def test_index_is_updated_after_its_lag(serve: Callable[..., Site]) -> None:
    site = serve(solr_lag=0.3)
    site.put(NEW, page_xml("New", "Text"))

    found: list[str] = []
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        found = site.ids("solr", "fullname:Sandbox.New1")

    assert found == ["xwiki:Sandbox.New1"]


# --- writing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"Only text"),
        ("application/json", b'{"content": "Only text"}'),
        ("application/x-www-form-urlencoded", b"content=Only+text"),
        ("text/xml; charset=utf-8", b'<page xmlns="http://www.xwiki.org"><content>Only text</content></page>'),
    ],
)
def test_put_accepts_other_content_types(site: Site, content_type: str, body: bytes) -> None:
    response = site.put(TESTPAGE, body, headers=JSON | {"Content-Type": content_type})

    assert response.status_code == 202
    page = site.standin.page("Sandbox.TestPage1")
    assert (page.title, page.content) == ("Test page one", "Only text")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"colour": "red"}'])
def test_json_that_is_not_a_page_is_400(site: Site, body: bytes) -> None:
    assert site.put(TESTPAGE, body, headers={"Content-Type": "application/json"}).status_code == 400


def test_put_without_hidden_shows_a_hidden_page(site: Site) -> None:
    site.put("/wikis/xwiki/spaces/Sandbox/pages/Hid", page_xml("Hidden", "Changed"))

    assert site.standin.page("Sandbox.Hid").hidden is False


def test_put_without_a_value_that_is_saved_is_304(site: Site) -> None:
    body = b'<page xmlns="http://www.xwiki.org"><hidden>true</hidden><comment>Only this</comment></page>'

    response = site.put(TESTPAGE, body)

    assert (response.status_code, response.content) == (304, b"")
    assert site.standin.page("Sandbox.TestPage1").version == "3.2"


def test_put_of_the_same_values_is_202_and_keeps_the_version(site: Site) -> None:
    site.put(NEW, page_xml("New", "Text"))

    response = site.put(NEW, page_xml("New", "Text"))

    assert (response.status_code, response.json()["version"]) == (202, "1.1")


def test_minor_revision_increments_the_minor_version(site: Site) -> None:
    site.put(NEW, page_xml("New", "Text"))

    assert site.put(f"{NEW}?minorRevision=true", page_xml("New", "More")).json()["version"] == "1.2"


def test_overwritten_text_remains_in_the_history(site: Site) -> None:
    site.put(NEW, page_xml("New", "First"))
    site.put(NEW, page_xml("New", "Second"))

    history = site.get(f"{NEW}/history").json()["historySummaries"]

    assert [one["version"] for one in history] == ["2.1", "1.1"]
    assert site.get(f"{NEW}/history/1.1").json()["content"] == "First"


def test_new_title_updates_the_document_date_and_not_the_content_date(site: Site) -> None:
    old = datetime(2026, 1, 1, tzinfo=UTC)
    site.standin.add_page("Sandbox.Old", title="Old", content="Same", modified=old)

    page = site.put("/wikis/xwiki/spaces/Sandbox/pages/Old", page_xml("New title", "Same")).json()

    assert page["modified"] == int(old.timestamp() * 1000)
    (hit,) = site.query("xwql", "where doc.fullName = 'Sandbox.Old'")
    assert hit["modified"] > page["modified"]


def test_locked_page_is_412(site: Site) -> None:
    site.standin.lock_page("Sandbox.TestPage1")

    assert site.put(TESTPAGE, page_xml("Mine", "Now")).status_code == 412
    assert site.standin.page("Sandbox.TestPage1").title == "Test page one"


def test_delete_requires_the_right_and_removes_the_page(site: Site) -> None:
    assert site.send("DELETE", TESTPAGE, auth=BOB).status_code == 401
    assert site.send("DELETE", TESTPAGE, auth=ALICE).status_code == 204
    assert site.send("DELETE", TESTPAGE, auth=ALICE).status_code == 404


@pytest.mark.parametrize(("content_type", "status"), [("application/xml", 201), ("TEXT/Plain", 403)])
def test_only_simple_content_types_require_the_form_token(site: Site, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}

    response = site.send("POST", f"{NEW}?method=PUT", data=page_xml("New", "Text"), headers=headers, auth=ALICE)

    assert response.status_code == status


def test_form_token_belongs_to_one_user(site: Site) -> None:
    headers = FORM | {"XWiki-Form-Token": site.get("/", auth=BOB).headers["XWiki-Form-Token"]}

    response = site.send("POST", f"{NEW}?method=PUT", data="content=x", headers=headers, auth=ALICE)

    assert response.status_code == 403
    assert response.headers["XWiki-Form-Token"] != headers["XWiki-Form-Token"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_unsupported_method_is_405(site: Site, method: str) -> None:
    assert site.send(method, TESTPAGE, auth=ALICE).status_code == 405


def test_put_can_be_executed_without_a_response(site: Site) -> None:
    site.standin.fail_put_after_commit = True

    with site.standin.counting() as seen, pytest.raises(requests.ConnectionError):
        site.put(NEW, page_xml("New", "Arrived"))

    assert site.standin.page("Sandbox.New1").content == "Arrived"
    assert [(one.method, one.status) for one in seen] == [("PUT", 201)]


def test_concurrent_writes_lose_no_version(site: Site) -> None:
    site.put(NEW, page_xml("New", "Start"))

    def write(number: int) -> None:
        site.put(NEW, page_xml("New", f"Text {number}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert site.standin.page("Sandbox.New1").version == "13.1"


# --- browser pages ---------------------------------------------------------------------------------------------

BANNER = "Sandbox stand-in of xWiki – not a real wiki"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 200),
        ("/", 200),
        ("/bin/view/Main/", 200),
        ("/bin/view/Sandbox/TestPage1", 200),
        ("/bin/view/Dev/Sub/", 200),
        ("/bin/view/Dev/Sub", 200),
        ("/bin/view/07.+Dev/", 200),
        ("/bin/view/Sandbox/Nope", 404),
        ("/bin/view/Secret/", 401),
        ("/bin/login/XWiki/XWikiLogin", 404),
        ("/bin/view/a%2Fb", 400),
    ],
)
def test_every_browser_page_has_a_banner_and_a_content_security_policy(site: Site, path: str, status: int) -> None:
    response = requests.get(f"{site.base}{path}", timeout=20)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "text/html;charset=utf-8"
    assert BANNER in response.text
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")


def test_browser_page_escapes_text(site: Site) -> None:
    site.standin.add_page("Sandbox.Nasty", title=NASTY, content="{{html}}<img src=x onerror=alert(1)>{{/html}}")

    text = requests.get(f"{site.base}/bin/view/Sandbox/Nasty", timeout=20).text

    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;co&quot;" in text
    assert "onerror=alert(1)" in text


# --- demo content ----------------------------------------------------------------------------------------------


def test_demo_wiki_serves_every_page_to_its_account(serve: Callable[..., Site]) -> None:
    site = serve(seed="demo")
    auth = ("leafpanel", "leafpanel-demo")

    hits = site.query("solr", "*:*", auth=auth)

    titles = [hit["title"] for hit in hits]
    assert len(titles) > 20
    assert "Verslag vooroverleg Kerkstraat 12" in titles
    assert "Beoordelingsgesprekken 2026" not in titles
    for hit in hits:
        page = requests.get(hit["links"][0]["href"], headers=JSON, auth=auth, timeout=20).json()
        assert (page["id"], page["version"]) == (hit["id"], hit["version"])
        assert requests.get(page["xwikiAbsoluteUrl"], timeout=20).status_code == 200


@pytest.mark.parametrize(("space", "status"), [("Zaken", 201), ("Sandbox", 201), ("Beleid", 401)])
def test_demo_account_writes_only_in_its_spaces(serve: Callable[..., Site], space: str, status: int) -> None:
    path = f"/wikis/xwiki/spaces/{space}/spaces/Nieuw/pages/WebHome"

    response = serve(seed="demo").put(path, page_xml("Nieuw", "Tekst"), auth=("leafpanel", "leafpanel-demo"))

    assert response.status_code == status


def test_passwords_stay_out_of_representations(site: Site) -> None:
    assert "secret" not in repr(site.standin.wiki.users)
