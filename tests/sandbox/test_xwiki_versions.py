"""What the xWiki stand-in does differently from one version to the next, and what can be set, in this process."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client, TestResponse

from panel.sandbox.__main__ import _parser
from panel.sandbox.standin import mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.sandbox.xwiki_options import from_options

WIKI = "/wikis/xwiki"
SANDBOX = f"{WIKI}/spaces/Sandbox/pages"
TESTPAGE = f"{SANDBOX}/TestPage1"
OBJECT = (
    '<object xmlns="http://www.xwiki.org"><className>Code.Ticket</className>'
    '<property name="state"><value>open</value></property></object>'
)


class Site:
    """A stand-in and a client that signs in as alice unless told otherwise."""

    def __init__(self, profile: str, **options: Any) -> None:
        self.standin = XWikiStandIn(profile, **{"solr_lag": 0, **options})
        self.client = Client(mounted(xwiki=self.standin), use_cookies=False)

    def send(
        self, method: str, path: str, *, auth: tuple[str, str] | None = ("alice", "secret"), **options: Any
    ) -> TestResponse:
        options.setdefault("headers", {"Accept": "application/json"})
        return self.client.open(f"/xwiki/rest{path}", method=method, auth=auth, **options)

    def get(self, path: str, **query: Any) -> TestResponse:
        sent = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", f"{path}?{urlencode(sent, doseq=True)}" if sent else path)

    def put(self, path: str, **fields: str) -> TestResponse:
        return self.send("PUT", path, json=fields)

    def query(self, kind: str, text: str, **params: Any) -> list[dict[str, Any]]:
        response = self.get(f"{WIKI}/query", type=kind, q=text, **{"number": 50, **params})
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json["searchResults"]
        return found

    def names(self, kind: str, text: str, **params: Any) -> list[str]:
        return [hit["pageFullName"] for hit in self.query(kind, text, **params)]

    def keywords(self, *, path: str = WIKI, **params: Any) -> list[str]:
        response = self.get(f"{path}/search", **{"scope": ["title", "name", "content"], **params})
        return [hit["id"].removeprefix("xwiki:") for hit in response.json["searchResults"]]


@pytest.fixture(params=["16", "18"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


@pytest.fixture
def old() -> Site:
    return Site("16")


@pytest.fixture
def new() -> Site:
    return Site("18")


def test_another_profile_keeps_the_content(old: Site) -> None:
    old.standin.behave_like("18")

    response = old.get(TESTPAGE)

    assert (response.headers["XWiki-Version"], response.json["title"]) == ("18.5.0-SNAPSHOT", "Test page one")


# --- the index -------------------------------------------------------------------------------------------------


def test_reference_of_a_page_saved_once_ends_in_a_semicolon(old: Site) -> None:
    old.put(f"{SANDBOX}/New", title="New")

    assert old.names("solr", 'reference:"document:xwiki:Sandbox.New"') == []
    assert old.names("solr", 'reference:"document:xwiki:Sandbox.New;"') == ["Sandbox.New"]
    assert old.names("solr", 'wiki:"xwiki" AND fullname:("Sandbox.New")') == ["Sandbox.New"]
    old.put(f"{SANDBOX}/New", title="New")
    assert old.names("solr", 'reference:"document:xwiki:Sandbox.New"') == ["Sandbox.New"]


def test_reindexing_makes_references_regular(old: Site) -> None:
    old.standin.reindex()

    assert old.names("solr", 'reference:"document:xwiki:Main.WebHome"') == ["Main.WebHome"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("+(one OR one*) +(test OR test*)", ["Sandbox.TestPage1"]),
        ("+(bol OR bol*) +(pag OR pag*)", ["Sandbox.TestPage1"]),
        ("+(bold OR bold*) +(nested OR nested*)", []),
        (r"+(sub OR sub*) +(co OR co*)", ["Dev.Sub.WebHome"]),
        ("bold nested", ["Dev.Sub.WebHome", "Sandbox.TestPage1"]),
    ],
)
def test_words_are_found_in_any_order_and_by_their_beginning(site: Site, words: str, found: list[str]) -> None:
    assert sorted(site.names("solr", f'wiki:"xwiki" AND type:DOCUMENT AND ({words})')) == found


@pytest.mark.parametrize(
    "query",
    ['space_exact:"Sandbox" AND name_exact:"TestPage1"', "title:one AND hidden:false", 'fullname:"Sandbox.TestPage1"'],
)
def test_exact_fields_match_the_whole_value(site: Site, query: str) -> None:
    (hit,) = site.query("solr", query)

    assert hit["id"] == "xwiki:Sandbox.TestPage1"
    assert isinstance(hit["score"], float)


@pytest.mark.parametrize("number", ["0", "", None])
def test_index_returns_ten_rows_unless_a_number_is_sent(site: Site, number: str | None) -> None:
    site.standin.add_spaces("Many", 20)

    assert len(site.query("solr", "title:case", number=number)) == 10


def test_hanging_index_is_as_slow_as_it_is_set(site: Site) -> None:
    site.standin.hang_index(0.05)
    start = time.monotonic()

    site.names("solr", "title:home")

    assert time.monotonic() - start >= 0.05


def test_index_without_a_lag_set_waits_until_it_is_run() -> None:
    site = Site("18", solr_lag=None)
    site.put(f"{SANDBOX}/New", title="Fresh")
    before = site.names("solr", "title:fresh")

    site.standin.index()

    assert (before, site.names("solr", "title:fresh")) == ([], ["Sandbox.New"])


# --- the database ----------------------------------------------------------------------------------------------


def test_xwql_cannot_read_a_doubled_quote_and_hql_can(old: Site) -> None:
    old.standin.add_page("Sandbox.it's")
    fragment = "where doc.fullName in ('Sandbox.it''s')"

    assert old.get(f"{WIKI}/query", type="xwql", q=fragment).status_code == 500
    assert old.names("hql", fragment) == ["Sandbox.it's"]
    assert old.names("xwql", "where doc.language = '' and doc.name = 'TestPage1'") == ["Sandbox.TestPage1"]


def test_database_is_closed_on_18_and_can_be_closed_on_16(old: Site, new: Site) -> None:
    old.standin.xwql_enabled = False

    for site in (old, new):
        response = site.get(f"{WIKI}/query", type="hql", q="where doc.name = 'WebHome'")
        assert response.status_code == 400
        assert response.text == "Query type [hql] is not allowed. Allowed query types are: [solr]."


def test_database_shows_hidden_pages_and_no_denied_ones(old: Site) -> None:
    assert old.names("hql", "where doc.title like '%test%' or doc.title like '%secrets%'") == ["Sandbox.Hid"]


# --- translations ----------------------------------------------------------------------------------------------


def test_delete_leaves_the_translations(site: Site) -> None:
    site.put(f"{TESTPAGE}/translations/fr", title="Essai", content="Bonjour")

    assert site.send("DELETE", TESTPAGE).status_code == 204

    assert site.get(TESTPAGE).status_code == 404
    (hit,) = site.query("solr", 'fullname:"Sandbox.TestPage1"')
    assert (hit["id"], hit["language"], hit["title"]) == ("xwiki:Sandbox.TestPage1", "fr", "Essai")
    listed = site.get(f"{WIKI}/pages", name="TestPage1").json["pageSummaries"]
    assert [one["id"] for one in listed] == ["xwiki:Sandbox.TestPage1"]
    assert site.keywords(q="essai") == ["Sandbox.TestPage1"]


def test_translation_can_be_made_and_deleted_without_its_page(site: Site) -> None:
    path = f"{SANDBOX}/Only/translations/nl"

    assert site.put(path, title="Alleen").status_code == 201
    assert site.get(f"{SANDBOX}/Only").status_code == 404
    assert site.send("DELETE", path).status_code == 204
    assert site.get(path).status_code == 404


# --- moved pages -----------------------------------------------------------------------------------------------


def _created(site: Site, path: str) -> tuple[int, str]:
    page = site.get(path).json
    return page["created"], page["creator"]


def test_renamed_page_keeps_its_creation_and_leaves_nothing(site: Site) -> None:
    before = _created(site, TESTPAGE)

    site.standin.rename_page("Sandbox.TestPage1", "Dev.Moved")

    assert site.get(TESTPAGE).status_code == 404
    assert _created(site, f"{WIKI}/spaces/Dev/pages/Moved") == before
    assert site.get(f"{WIKI}/spaces/Dev/pages/Moved").json["version"] == "3.3"


def test_renamed_page_is_found_by_the_second_and_the_maker_of_its_creation(site: Site) -> None:
    created = site.standin.page("Sandbox.TestPage1").created - timedelta(days=30)
    site.standin.add_page("Sandbox.Old", created=created, author="XWiki.bob")
    site.standin.rename_page("Sandbox.Old", "Dev.Moved")
    second = created.strftime("%Y-%m-%dT%H:%M:%SZ")

    assert site.names("solr", f'creationdate:"{second}"') == ["Dev.Moved"]
    assert site.names("solr", f"creationdate:[{second} TO {second}]") == ["Dev.Moved"]
    assert site.names("solr", f'creationdate:"{second}" AND creator:"xwiki:XWiki.alice"') == []
    assert site.names("solr", f'creationdate:"{second}" AND creator:"xwiki:XWiki.bob"') == ["Dev.Moved"]


def test_copy_has_a_creation_of_its_own(site: Site) -> None:
    site.standin.add_page("Sandbox.Old", created=site.standin.page("Main.WebHome").created, author="XWiki.bob")

    site.standin.copy_page("Sandbox.Old", "Sandbox.Copy")

    created, creator = _created(site, f"{SANDBOX}/Copy")
    assert created > _created(site, f"{SANDBOX}/Old")[0]
    assert creator == "XWiki.alice"


def test_redirects_are_hidden_pages_with_an_object(site: Site) -> None:
    site.standin.rename_page("Sandbox.TestPage1", "Dev.Moved", redirect=True)
    site.standin.rename_page("Dev.Moved", "Dev.Again", redirect=True)

    page = site.get(TESTPAGE, objects="true").json

    assert (page["title"], page["rawTitle"], page["hidden"], page["version"]) == ("TestPage1", "", True, "1.1")
    (one,) = page["objects"]["objectSummaries"]
    assert one["className"] == "XWiki.RedirectClass"
    assert [(each["name"], each["value"]) for each in one["properties"]] == [("location", "xwiki:Dev.Moved")]
    location = "objects/XWiki.RedirectClass/0/properties/location"
    assert site.get(f"{WIKI}/spaces/Dev/pages/Moved/{location}").json["value"] == "xwiki:Dev.Again"
    assert site.get(f"{WIKI}/spaces/Dev/pages/Again/{location}").status_code == 404


def test_redirect_in_the_browser_is_302(site: Site) -> None:
    site.standin.rename_page("Sandbox.TestPage1", "Dev.Moved", redirect=True)

    response = site.client.get("/xwiki/bin/view/Sandbox/TestPage1")

    assert (response.status_code, response.headers["Location"]) == (302, "http://localhost/xwiki/bin/view/Dev/Moved")


def test_moved_space_takes_everything_below_it_along(site: Site) -> None:
    before = _created(site, f"{WIKI}/spaces/Dev/spaces/Sub/pages/WebHome")

    site.standin.move_space("Dev", "Archive.Dev")

    assert _created(site, f"{WIKI}/spaces/Archive/spaces/Dev/spaces/Sub/pages/WebHome") == before
    assert not site.standin.has_page("Dev.Sub.WebHome")


def test_restored_page_keeps_its_creation_and_history(site: Site) -> None:
    before = _created(site, TESTPAGE)
    site.standin.remove_page("Sandbox.TestPage1")

    site.standin.restore_page("Sandbox.TestPage1")

    assert _created(site, TESTPAGE) == before
    assert len(site.get(f"{TESTPAGE}/history").json["historySummaries"]) == 1


def test_object_can_be_added_over_rest(site: Site) -> None:
    response = site.send("POST", f"{TESTPAGE}/objects", data=OBJECT, content_type="application/xml")

    assert response.status_code == 201
    (one,) = site.get(f"{TESTPAGE}/objects").json["objectSummaries"]
    assert (one["className"], one["number"]) == ("Code.Ticket", 0)
    assert site.get(f"{TESTPAGE}/objects/Code.Ticket/0/properties/state").json["value"] == "open"
    assert site.get(TESTPAGE).json["version"] == "4.1"


# --- search ----------------------------------------------------------------------------------------------------


def test_search_is_a_phrase_on_16_and_words_on_18(old: Site, new: Site) -> None:
    assert old.keywords(q="page one") == ["Sandbox.TestPage1"]
    assert old.keywords(q="one page") == []
    assert "Sandbox.TestPage1" in new.keywords(q="one page")
    assert old.keywords(q="b_ld") == ["Sandbox.TestPage1"]
    assert new.keywords(q="b_ld") == []


def test_spaces_cannot_be_searched_beside_names_on_16(old: Site, new: Site) -> None:
    statuses = [one.get(f"{WIKI}/search", q="Sub", scope=["name", "spaces"]).status_code for one in (old, new)]

    assert statuses == [500, 200]


def test_pages_lists_denied_pages_on_16_even_to_guests(old: Site, new: Site) -> None:
    found = [one.send("GET", f"{WIKI}/pages?name=secret", auth=None).json["pageSummaries"] for one in (old, new)]

    assert [[page["id"] for page in pages] for pages in found] == [["xwiki:Secret.WebHome"], []]


def test_history_of_a_denied_page_is_shown_on_16(old: Site, new: Site) -> None:
    paths = [f"{WIKI}/spaces/Secret/pages/WebHome{tail}" for tail in ("", "/history", "/tags", "/attachments")]

    assert [old.get(path).status_code for path in paths] == [401, 200, 200, 200]
    assert [new.get(path).status_code for path in paths] == [401, 401, 401, 401]


def test_thousands_of_spaces_are_searched(site: Site) -> None:
    site.standin.add_spaces("Cases", 2500, title="Permit {number}")

    hits = site.get(f"{WIKI}/search", q="Case2500", scope="spaces", number=5).json["searchResults"]

    assert [(hit["id"], hit["title"]) for hit in hits] == [("Cases.Case2500", "Permit 2500")]
    assert len(site.get(f"{WIKI}/spaces", number=100).json["spaces"]) == 100


def test_top_level_and_nested_pages_are_listed_by_18(old: Site, new: Site) -> None:
    new.standin.add_spaces("Sandbox", 12)

    top = new.get(f"{WIKI}/children", search="box").json["pageSummaries"]
    below = new.get(f"{SANDBOX}/WebHome/children", hierarchy="nestedpages", search="case 12").json["pageSummaries"]

    assert old.get(f"{WIKI}/children").status_code == 404
    assert [one["id"] for one in top] == ["xwiki:Sandbox.WebHome"]
    assert [one["id"] for one in below] == ["xwiki:Sandbox.Case12.WebHome"]


# --- paths and refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reference"), [("a%2Fb", "Sandbox.a/b"), ("a%5Cb", r"Sandbox.a\\b")])
def test_slashes_in_names_are_refused_by_16_and_served_by_18(old: Site, new: Site, name: str, reference: str) -> None:
    refused, created = (one.put(f"{SANDBOX}/{name}", title="Odd") for one in (old, new))

    assert (refused.status_code, "XWiki-Version" in refused.headers) == (400, False)
    assert (created.status_code, new.get(f"{SANDBOX}/{name}").json["fullName"]) == (201, reference)


def test_plus_is_a_blank_only_in_spaces_on_16(old: Site, new: Site) -> None:
    for one in (old, new):
        one.standin.add_page("A b.c d")
        one.standin.add_page("A b.c+d")

    names = [one.get(f"{WIKI}/spaces/A+b/pages/c+d").json["name"] for one in (old, new)]

    assert names == ["c+d", "c d"]


def test_long_request_is_refused_by_the_container(site: Site) -> None:
    response = site.get(f"{WIKI}/query", type="solr", q="x" * 8200)

    assert (response.status_code, "XWiki-Version" in response.headers) == (400, False)


def test_404_of_16_is_a_large_page_that_can_take_its_time(old: Site, new: Site) -> None:
    old.standin.missing_page_s = 0.05
    start = time.monotonic()

    response = old.get(f"{SANDBOX}/Nope")

    assert time.monotonic() - start >= 0.05
    assert (response.mimetype, len(response.data)) == ("text/html", 17_000)
    assert len(new.get(f"{SANDBOX}/Nope").data) < 1000


def test_lists_of_an_unknown_wiki_are_wrong_on_16_and_an_error_on_18(old: Site, new: Site) -> None:
    assert [one.get("/wikis/other/pages").status_code for one in (old, new)] == [200, 500]
    assert [one.get("/wikis/other/query?type=solr&q=title:home").status_code for one in (old, new)] == [200, 200]
    assert [one.get("/wikis/other/spaces/Main/pages/WebHome").status_code for one in (old, new)] == [404, 401]


def test_hidden_alone_is_saved_by_18_only(old: Site, new: Site) -> None:
    responses = [one.send("PUT", TESTPAGE, json={"hidden": True}) for one in (old, new)]

    assert [response.status_code for response in responses] == [304, 202]
    assert [(page.hidden, page.version) for page in (one.standin.page("Sandbox.TestPage1") for one in (old, new))] == [
        (True, "3.2"),
        (True, "4.1"),
    ]


def test_rights_are_named_by_18_when_asked(old: Site, new: Site) -> None:
    path = f"{WIKI}/spaces/Dev/spaces/Sub/pages/WebHome?checkRight=edit&checkRight=view"

    assert "rights" not in old.get(path).json
    assert new.get(path).json["rights"] == [{"name": "edit", "value": False}, {"name": "view", "value": True}]
    assert new.get(f"{path}&checkRight=fly").status_code == 400


@pytest.mark.parametrize("login", ["xwiki:XWiki.alice", "ALICE", "a.dot", "off"])
def test_login_that_is_not_the_name_of_an_active_account_is_a_guest(site: Site, login: str) -> None:
    site.standin.add_user("a.dot", "secret")
    site.standin.add_user("off", "secret")
    site.standin.switch_off_user("off")

    response = site.send("GET", WIKI, auth=(login, "secret"))

    assert (response.status_code, response.headers.get("XWiki-User")) == (200, None)


def test_closed_wiki_answers_guests_with_empty_lists(site: Site) -> None:
    site.standin.guests_may_view = False

    answers = [site.send("GET", path, auth=None) for path in ("", WIKI, f"{WIKI}/spaces", TESTPAGE)]

    assert [one.status_code for one in answers] == [200, 200, 200, 401]
    assert answers[2].json["spaces"] == []


# --- switches --------------------------------------------------------------------------------------------------


def test_address_of_a_page_has_the_host_of_the_request_unless_one_is_set(site: Site) -> None:
    headers = {"Accept": "application/json", "Host": "inner:8080"}
    inner = site.send("GET", TESTPAGE, headers=headers).json["xwikiAbsoluteUrl"]

    site.standin.public_url = "https://wiki.example.org/xwiki"

    assert inner == "http://inner:8080/xwiki/bin/view/Sandbox/TestPage1"
    outer = site.send("GET", TESTPAGE, headers=headers).json["xwikiAbsoluteUrl"]
    assert outer == "https://wiki.example.org/xwiki/bin/view/Sandbox/TestPage1"


@pytest.mark.parametrize("view_path", ["", "/bin", "/wiki/view"])
def test_short_addresses_of_pages_lead_to_them(site: Site, view_path: str) -> None:
    site.standin.view_path = view_path

    address = site.get(TESTPAGE).json["xwikiAbsoluteUrl"]

    assert address == f"http://localhost/xwiki{view_path}/Sandbox/TestPage1"
    assert site.client.get(address.removeprefix("http://localhost")).status_code == 200


def test_version_header_can_be_hidden(site: Site) -> None:
    site.standin.hides_version = True

    response = site.get("")

    assert "XWiki-Version" not in response.headers
    assert response.json["version"] == site.standin.profile.version


def test_calls_are_counted_and_delayed_by_their_kind(site: Site) -> None:
    site.standin.delays["page"] = 0.05
    site.get(f"{WIKI}/spaces")
    site.names("solr", "title:home")
    site.keywords(q="home")
    start = time.monotonic()

    site.get(TESTPAGE)

    assert time.monotonic() - start >= 0.05
    assert site.standin.calls == {"spaces": 1, "index": 1, "search": 1, "page": 1}


def test_command_line_chooses_version_and_behaviour() -> None:
    words = "8001 --xwiki 16 --xwiki-database closed --xwiki-index-hangs 6 --xwiki-delay page=20 --xwiki-hides-version"

    standin = from_options(_parser().parse_args(words.split()))

    assert standin.profile.version == "16.2.0"
    assert (standin.xwql_enabled, standin.hides_version) == (False, True)
    assert (standin.delays["index"], standin.delays["page"]) == (6, 0.02)
    assert from_options(_parser().parse_args(["8001"])).profile.version == "18.5.0-SNAPSHOT"


@pytest.mark.parametrize("delay", ["page", "page=soon", "moon=5"])
def test_command_line_refuses_a_delay_of_no_kind(delay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["8001", "--xwiki-delay", delay])

    assert "KIND=MS was expected" in capsys.readouterr().err
