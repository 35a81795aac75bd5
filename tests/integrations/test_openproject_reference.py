from __future__ import annotations

import pytest

from panel.core.errors import InvalidInput, WrongHost
from panel.integrations.openproject.reference import (
    create_page_url,
    instance_root,
    is_number,
    looks_like_reference,
    page_url,
    spellings,
    target_of,
    work_package_in,
)

ROOT = "https://projects.example.org"
BELOW = "https://example.org/openproject"


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "/",
        "/api/v3",
        "/api/v3/",
        "/api/v3/work_packages/1528",
        "/api/v3/projects/demo/work_packages",
        "/projects/demo",
        "/projects/demo/work_packages/1528/activity",
        "/work_packages",
        "/work_packages/1528",
        "/wp/1528",
        "/notifications/details/1528",
        "/my/page",
        "/login",
        "/projects",
        "/projects/demo/gantt/details/1528/overview",
        "/my/account",
        "/my/access_tokens",
        "/gantt",
        "/users/5",
        "/users/5/edit/memberships",
        "/admin/settings/api",
    ],
)
@pytest.mark.parametrize("root", [ROOT, BELOW])
def test_finds_the_instance_root_of_a_pasted_url(root: str, pasted: str) -> None:
    assert instance_root(f" {root}{pasted} ") == root


@pytest.mark.parametrize(
    ("location", "root"),
    [
        ("HTTPS://Projects.Example.ORG:443", ROOT),
        ("http://127.0.0.1:8081/openproject/", "http://127.0.0.1:8081/openproject"),
        ("https://example.org/projects/api/v3", "https://example.org/projects"),
        ("https://example.org/OpenProject", "https://example.org/OpenProject"),
        ("https://example.org/my/openproject", "https://example.org/my/openproject"),
        ("https://example.org/api/v3beta", "https://example.org/api/v3beta"),
        ("https://[::1]:8443/api/v3", "https://[::1]:8443"),
    ],
)
def test_keeps_the_path_of_the_root(location: str, root: str) -> None:
    assert instance_root(location) == root


@pytest.mark.parametrize(
    "location",
    [
        "",
        "projects.example.org",
        "ftp://projects.example.org",
        "https://",
        "https:///api/v3",
        "https://bob:secret@projects.example.org",
        "https://projects.example.org/?query_id=3",
        "https://projects.example.org/#top",
        "https://projects.example.org/a/../b",
        "https://projects.example.org:99999",
        "https://pro jects.example.org",
        "https://<script>/",
        "https://[::1",
    ],
)
def test_rejects_an_invalid_location(location: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        instance_root(location)

    assert refused.value.field == "location"
    assert "secret" not in str(refused.value)


FORMS = [
    "/work_packages/{id}",
    "/work_packages/{id}/activity",
    "/work_packages/{id}?query_id=7#comments",
    "/work_packages/details/{id}/overview",
    "/wp/{id}",
    "/notifications/details/{id}/activity",
    "/projects/demo/work_packages/{id}",
    "/projects/demo/work_packages/{id}/relations",
    "/projects/demo/work_packages/details/{id}",
    "/projects/demo/work_packages/details/{id}/overview",
    "/projects/demo/boards/4/details/{id}",
    "/projects/demo/calendars/4/details/{id}/overview",
    "/projects/demo/team_planners/new/details/{id}",
    "/projects/demo/bcf/{id}",
    "/projects/demo/bcf/details/{id}",
    "/api/v3/work_packages/{id}",
    "/api/v3/work_packages/{id}/relations/34",
    "/projects/demo/gantt/details/{id}/overview?query_id=7",
    "/projects/demo/meetings/12/details/{id}",
    "/my/page/details/{id}",
    "/wp/{id}/",
    "//work_packages//{id}",
    "/projects/wp/module/of/tomorrow/details/{id}/tab#activity-5",
]


@pytest.mark.parametrize("number", ["1528", "PROJ-51", "A_2B-7", "proj-51", "demo-project-67"])
@pytest.mark.parametrize("root", [ROOT, BELOW])
@pytest.mark.parametrize("form", FORMS)
def test_parses_every_url_of_a_work_package(form: str, root: str, number: str) -> None:
    assert work_package_in(root + form.format(id=number), root) == number


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("1528", "1528"),
        ("#1528", "1528"),
        (" 1528\n", "1528"),
        ("OP#1528", "1528"),
        ("op #1528", "1528"),
        ("007", "7"),
        ("PROJ-51", "PROJ-51"),
        ("#PROJ-51", "PROJ-51"),
        ("proj-51", "proj-51"),
        ("#demo-project-67", "demo-project-67"),
    ],
)
def test_parses_a_typed_reference(typed: str, reference: str) -> None:
    assert work_package_in(typed, ROOT) == reference


@pytest.mark.parametrize(
    "typed",
    [
        "", "abc", "0", "#0", "##1", "-5", "1.5", "12a", "1528 1529", "٣", "4-2", "PROJ-0", "PROJ-", "9" * 19, "x" * 3000,
        ROOT, f"{ROOT}/projects/demo", f"{ROOT}/projects/12", f"{ROOT}/details", f"{ROOT}/news/details/", f"{ROOT}/work_packages/new", f"{ROOT}/work_packages/0",
        f"{ROOT}/api/v3/projects/3", f"{ROOT}/work_packages/%31", "https://[", "https://a b/work_packages/1",
    ],
)  # fmt: skip
def test_rejects_text_that_names_no_work_package(typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        work_package_in(typed, ROOT)

    assert refused.value.field == "reference"
    assert not isinstance(refused.value, WrongHost)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://other.example.org/work_packages/1528", "other.example.org"),
        ("https://other.example.org/op/projects/x/work_packages/1528/activity", "other.example.org"),
        ("https://example.org:8443/openproject/work_packages/1528", "example.org:8443"),
        ("https://www.example.org/openproject/work_packages/1528", "www.example.org"),
        ("https://example.org/work_packages/1528", "example.org"),
        ("https://example.org/openproject2/work_packages/1528", "example.org"),
        ("https://bob@other.example.org/wp/3", "other.example.org"),
    ],
)
def test_error_names_the_other_host_of_a_work_package(address: str, host: str) -> None:
    with pytest.raises(WrongHost) as refused:
        work_package_in(address, BELOW)

    assert (refused.value.field, refused.value.host) == ("reference", host)
    assert str(refused.value) == f"This is a work package of {host}. There is no source for it yet."


@pytest.mark.parametrize(
    ("origin", "root"),
    [
        ("http://projects.example.org", ROOT),
        ("http://projects.example.org:80", ROOT),
        ("https://projects.example.org:443", ROOT),
        ("HTTPS://Projects.Example.ORG", ROOT),
        ("https://projects.example.org.", ROOT),
        ("http://bob@projects.example.org", ROOT),
        ("https://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("https://xn--bcher-kva.example", "https://bücher.example"),
        ("http://[0:0::1]:8080", "http://[::1]:8080"),
    ],
)
def test_another_spelling_of_the_host_is_the_same_host(origin: str, root: str) -> None:
    assert work_package_in(f"{origin}/wp/1528", root) == "1528"


@pytest.mark.parametrize(
    ("reference", "requested"),
    [
        ("1528", ["1528"]),
        ("PROJ-51", ["PROJ-51"]),
        ("proj-51", ["PROJ-51", "proj-51"]),
        ("demo-project-67", ["DEMO-PROJECT-67", "demo-project-67"]),
    ],
)
def test_a_short_name_is_requested_in_upper_case_first(reference: str, requested: list[str]) -> None:
    assert spellings(reference) == requested


def test_error_names_the_other_host_of_another_page() -> None:
    with pytest.raises(WrongHost, match=r"This is an address of wiki\.example\.org"):
        work_package_in("https://wiki.example.org/bin/view/Main/", ROOT)


@pytest.mark.parametrize(
    "typed",
    ["1528", "#1528", " 1528 ", "PROJ-51", "proj-51", "#Proj-51", "https://x.example/wp/1", "HTTP://x.example"],
)
def test_references_look_like_references(typed: str) -> None:
    assert looks_like_reference(typed)


@pytest.mark.parametrize("typed", ["", "#", "0", "permit 1528", "1528a", "well-known", "2026-11", "https", "PROJ 51"])
def test_words_do_not_look_like_references(typed: str) -> None:
    assert not looks_like_reference(typed)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("1", True), ("1528", True), ("0", False), ("007", False), (" 7", False), ("PROJ-7", False), ("٣", False)],
)
def test_only_a_canonical_number_is_a_number(text: str, canonical: bool) -> None:
    assert is_number(text) is canonical


def test_page_url_is_a_browser_url_with_an_escaped_id() -> None:
    assert page_url(BELOW, "1528") == f"{BELOW}/work_packages/1528"
    assert page_url(ROOT, "../admin?x") == f"{ROOT}/work_packages/..%2Fadmin%3Fx"


@pytest.mark.parametrize(
    ("project", "path"),
    [
        ("3", "/projects/3/work_packages/new"),
        ("demo", "/projects/demo/work_packages/new"),
        ("", "/work_packages/new"),
        ("../..", "/work_packages/new"),
    ],
)
def test_create_page_url_is_openprojects_create_form(project: str, path: str) -> None:
    assert create_page_url(ROOT, project) == ROOT + path


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("/api/v3/statuses/7", ("statuses", "7")),
        ("/openproject/api/v3/placeholder_users/12", ("placeholder_users", "12")),
        ("urn:openproject-org:api:v3:undisclosed", None),
        (None, None),
        (7, None),
        ("/api/v3/statuses/7/x", None),
    ],
)
def test_parses_api_links_below_any_sub_path(href: object, target: tuple[str, str] | None) -> None:
    assert target_of(href) == target
