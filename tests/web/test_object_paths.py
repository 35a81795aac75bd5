"""Objects and items whose names have a slash, in every way in; and final slashes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote, urljoin

import pytest
from agents import TOOL, Served
from flask import Flask
from flask.testing import FlaskClient
from support import Upstreams, signed_in_client

from panel.web.object_paths import DOT, SLASH, IdConverter, PartConverter, parts_of, routed_path, segment

Bearer = Callable[[str], dict[str, str]]

OBJECTS = [
    ("demo", "case", "2024/0012"),
    ("Zaken/2024", "zaak", "1"),
    ("demo", "a/b", "1"),
    ("a/b", "c/d", "/e//f/"),
    ("demo", "case", "50%2F 100+é\U0001f600/x"),
]
"""Register, schema and object id."""


def as_host(part: str) -> str:
    """As a host application encodes a part."""
    return quote(part, safe="")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as a host application encodes it": as_host,
    "in lower case": lambda part: as_host(part).replace("%2F", "%2f"),
    "as the panel prints it": segment,
}


def collection(parts: tuple[str, ...], spell: Callable[[str], str], leaf: str = "openproject") -> str:
    return f"/api/objects/{'/'.join(map(spell, parts))}/integrations/{leaf}"


@pytest.fixture
def api(connected: Flask) -> FlaskClient:
    return connected.test_client()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("parts", OBJECTS, ids="·".join)
def test_json_reads_and_writes_an_object_with_a_slash(
    api: FlaskClient, bearer: Bearer, parts: tuple[str, ...], spelling: str
) -> None:
    path, headers = collection(parts, SPELLINGS[spelling]), bearer("write")

    linked = api.post(path, json={"reference": "101"}, headers=headers)
    listed = api.get(path, headers=headers)
    older = api.get(path.replace("/integrations/", "/"), headers=headers)
    removed = api.delete(f"{path}/101", headers=headers)

    assert (linked.status_code, listed.status_code, removed.status_code) == (201, 200, 204), linked.text
    assert [row["id"] for row in listed.json["items"]] == ["101"]  # type: ignore[index]
    assert older.json == listed.json


def test_every_spelling_is_the_same_object(api: FlaskClient, bearer: Bearer) -> None:
    parts, headers = OBJECTS[0], bearer("write")
    api.post(collection(parts, as_host), json={"reference": "101"}, headers=headers)

    totals = [api.get(collection(parts, spell), headers=headers).json["total"] for spell in SPELLINGS.values()]  # type: ignore[index]
    others = [
        api.get(collection(("demo", "case", other), as_host), headers=headers).json["total"]  # type: ignore[index]
        for other in ("2024%2F0012", "2024%252F0012", "2024\\0012", "2024")
    ]

    assert (totals, others) == ([1, 1, 1], [0, 0, 0, 0])


def test_an_item_with_a_slash_in_its_id_is_read_and_removed(api: FlaskClient, bearer: Bearer, connected: Flask) -> None:
    """Its id is percent-encoded as one segment. Two slashes are not merged, and a final one is not dropped."""
    headers = bearer("write")
    path = collection(("demo", "case", "1"), as_host)
    for entity in ("a/b", "a//b", "a/b/"):
        missing = api.get(f"{path}/{as_host(entity)}", headers=headers)
        assert missing.status_code == 404
        assert "not linked" in missing.json["message"], entity  # type: ignore[index]


def test_every_route_of_an_item_reads_a_slash_in_its_id(connected: Flask) -> None:
    """Only these converters know how a slash is spelled."""
    own = {"register", "schema", "object_id", "entity_id", "reference"}
    found = {
        (name, type(converter))
        for rule in connected.url_map.iter_rules()
        for name, converter in rule._converters.items()
        if name in own
    }

    assert found == {
        *((name, PartConverter) for name in ("register", "schema", "object_id")),
        *((name, IdConverter) for name in ("entity_id", "reference")),
    }


@pytest.mark.parametrize("name", ["a/b", "a//b", "/b/"])
def test_a_page_with_a_slash_in_its_name_is_linked_read_and_removed(
    api: FlaskClient, bearer: Bearer, upstreams: Upstreams, name: str
) -> None:
    upstreams.xwiki.behave_like("18")
    upstreams.xwiki.add_page(f"Sandbox.{name}", title="Odd", content="Text of it")
    path, headers = collection(OBJECTS[0], as_host, "xwiki"), bearer("write")
    editor = signed_in_client(api.application, "eve", "editor")

    linked = api.post(path, json={"reference": f"xwiki:Sandbox.{name}"}, headers=headers)
    row = linked.json or {}
    listed = api.get(path, headers=headers).json or {}
    page = editor.get(f"/objects/{'/'.join(map(as_host, OBJECTS[0]))}/integrations/xwiki").text
    excerpts = re.findall(r'hx-get="([^"]+/excerpt[^"]*)"', page)

    assert (linked.status_code, row["url"]) == (201, listed["items"][0]["url"]), linked.text
    assert [editor.get(address).status_code for address in excerpts] == [200]
    assert "Text of it" in editor.get(excerpts[0]).text
    assert api.post(path, json={"reference": row["url"]}, headers=headers).status_code == 409
    for spell in (as_host, segment):
        shown = api.get(f"{path}/{spell(row['id'])}", headers=headers)
        assert (shown.status_code, (shown.json or {})["content"]) == (200, "Text of it")
    assert api.delete(f"{path}/{as_host(row['id'])}", headers=headers).status_code == 204


@pytest.mark.parametrize("parts", OBJECTS, ids="·".join)
def test_no_address_on_the_tab_is_dead(connected: Flask, parts: tuple[str, ...]) -> None:
    editor = signed_in_client(connected, "eve", "editor")
    page = f"/objects/{'/'.join(map(as_host, parts))}"

    text = editor.get(page).text
    addresses = {
        found.replace("&amp;", "&") for found in re.findall(r'(?:href|hx-get|action)="(/objects/[^"]+)"', text)
    }

    reading = [address for address in addresses if not address.endswith(("/links", "/unlink"))]
    assert len(reading) >= 3
    assert {address: editor.get(address).status_code for address in reading} == dict.fromkeys(reading, 200)
    assert parts[2] in editor.get(page).text


def test_a_form_of_the_tab_links_to_an_object_with_a_slash(connected: Flask) -> None:
    editor = signed_in_client(connected, "eve", "editor")
    page = editor.get(f"/objects/demo/case/{as_host('2024/0012')}/integrations/openproject").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    action = re.search(r'action="([^"]+/search)"', page)
    assert token is not None
    assert action is not None

    done = editor.post(action[1].replace("/search", "/links"), data={"reference": "101", "csrf_token": token[1]})

    assert done.status_code == 303
    assert "#101" in editor.get(done.location).text


def test_the_page_of_objects_leads_to_an_object_with_a_slash(connected: Flask, bearer: Bearer) -> None:
    admin = signed_in_client(connected, "ann", "admin")
    admin.application.test_client().post(
        collection(OBJECTS[1], as_host), json={"reference": "101"}, headers=bearer("write")
    )

    shown = re.findall(r'href="(/objects/[^"]+)"', admin.get("/admin/objects").text)
    opened = admin.get("/admin/objects", query_string={"register": "a/b", "schema": "c", "object_id": "d/e"})

    assert [admin.get(address).status_code for address in (*shown, opened.location)] == [200, 200, 200]
    assert [re.sub("%EE%80%80", "/", address) for address in shown] == [
        "/objects/Zaken/2024/zaak/1",
        "/objects/demo/case/1",
    ]


def test_signing_in_returns_to_an_object_with_a_slash(connected: Flask) -> None:
    """The sign-in form carries the address, which must not lose how the slash was written."""
    editor = signed_in_client(connected, "eve", "editor")
    for parts in OBJECTS:
        refused = connected.test_client().get(f"/objects/{'/'.join(map(as_host, parts))}?sort=title")
        back = re.search(r"next=([^&]+)", refused.location)
        assert back is not None
        page = connected.test_client().get(refused.location).text
        carried = re.search(r'name="next" value="([^"]+)"', page)
        assert carried is not None
        assert parts[2] in editor.get(carried[1]).text


@pytest.mark.parametrize("parts", [*OBJECTS, ("demo", "..", "."), ("demo", "case", "../1")], ids="·".join)
def test_the_command_prints_an_address_that_opens(connected: Flask, parts: tuple[str, ...]) -> None:
    runner = connected.test_cli_runner()
    runner.invoke(args=["embed-app", "create", "Shop", "--origin", "http://localhost:5000"])
    printed = runner.invoke(args=["embed-url", *parts, "--app", "Shop", "--json"])
    address = json.loads(printed.stdout)["url"].removeprefix("http://127.0.0.1:8000")
    admin = signed_in_client(connected, "ann", "admin")
    form = re.search(r'name="csrf_token" value="([^"]+)"', admin.get("/admin/embedding").text)
    assert form is not None

    opened = connected.test_client().get(urljoin("/embed/", address))
    signed_by_a_host = connected.test_client().get(
        f"/embed/{'/'.join(map(as_host, parts))}?{address.partition('?')[2]}"
    )
    inspected = admin.post(
        "/admin/embedding/inspect", data={"csrf_token": form[1], "address": f"http://127.0.0.1:8000{address}"}
    )

    assert (opened.status_code, signed_by_a_host.status_code) == (200, 200)
    assert "name different objects" not in inspected.text
    assert "%2F" not in address.partition("?")[0].replace("%252F", "")


def test_an_agent_reads_what_json_linked(served: Served) -> None:
    register, schema, object_id = OBJECTS[3]
    headers = {"Authorization": f"Bearer {served.token()}"}
    served.app.test_client().post(collection(OBJECTS[3], as_host), json={"reference": "101"}, headers=headers)

    with served.agent(scope="read") as agent:
        listed = agent.body("list", "openproject", register=register, schema=schema, objectId=object_id)

    assert [row["id"] for row in listed["items"]] == ["101"]


def test_the_audit_trail_is_filtered_by_an_object_with_a_slash(connected: Flask, bearer: Bearer) -> None:
    for parts in OBJECTS:
        connected.test_client().post(collection(parts, as_host), json={"reference": "101"}, headers=bearer("write"))
    admin = signed_in_client(connected, "ann", "admin")

    for parts in OBJECTS:
        path = "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
        page = admin.get("/admin/audit", query_string={"object": path}).text
        assert page.count("<dt>Object</dt>") == 1
        exported = admin.get("/admin/audit.json", query_string={"object": path}).json
        assert [(line["register"], line["schema"], line["objectId"]) for line in exported] == [parts]
        shown = re.search(r'<dt>Object</dt><dd><a href="([^"]+)"', page)
        assert shown is not None
        assert admin.get(shown[1]).status_code == 200


def test_the_character_for_a_slash_is_part_of_no_name(api: FlaskClient, bearer: Bearer, services: object) -> None:
    assert not any(char.isprintable() for char in (SLASH, DOT))
    assert [parts_of(segment(part)) for part in ("a/b%2F", ".", "..", "a.b")] == [["a/b%2F"], ["."], [".."], ["a.b"]]
    assert segment("a.b ü") == quote("a.b ü")


@pytest.mark.parametrize(
    ("path", "target", "routed"),
    [
        ("/objects/a/b/c/d", "/objects/a/b/c%2Fd?x=%2F", f"/objects/a/b/c{SLASH}d"),
        ("/objects/a/b/c/d", "/prefix/objects/a/b/c%2fd", f"/objects/a/b/c{SLASH}d"),
        ("/objects/a/b/c/d", "http://host/objects/a/b/c%2Fd", f"/objects/a/b/c{SLASH}d"),
        ("/objects/a/b/c%2Fd", "/objects/a/b/c%252Fd", "/objects/a/b/c%2Fd"),
        ("/objects/a/b/c/d", "", "/objects/a/b/c/d"),
        ("/objects/a/b/c/d", "/something/else%2F", "/objects/a/b/c/d"),
        ("/objects/a/b/c/", "/objects/a/b/c/", "/objects/a/b/c/"),
        ("/api/integrations/", "/api/integrations/", "/api/integrations"),
        ("/api/integrations/", "", "/api/integrations"),
        ("/api/mcp/", "/api/mcp/?names=dot", "/api/mcp"),
        ("/api/objects/a/b/c/integrations/xwiki/d/", "/api/objects/a/b/c/integrations/xwiki/d%2F", f"/api/objects/a/b/c/integrations/xwiki/d{SLASH}"),
        ("/api/objects/a/b/c/integrations/xwiki/d/", "/api/objects/a/b/c/integrations/xwiki/d/", "/api/objects/a/b/c/integrations/xwiki/d"),
        ("/api/sources/a/b", "/api/sources/a%2Fb", "/api/sources/a/b"),
    ],
)  # fmt: skip
def test_reads_the_request_target_where_there_is_one(path: str, target: str, routed: str) -> None:
    found = routed_path(path.encode().decode("latin-1"), target)

    assert found.encode("latin-1").decode() == routed


# --- final slashes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/integrations",
        "/api/integrations/xwiki",
        "/api/integrations/xwiki/health",
        "/api/sources",
        "/api/sources/xwiki",
        "/api/openapi.json",
        "/api/objects/demo/case/1/integrations/xwiki",
        "/api/objects/demo/case/1/xwiki",
    ],
)
def test_a_final_slash_below_api_changes_nothing(api: FlaskClient, bearer: Bearer, path: str) -> None:
    headers = bearer("admin")

    answers = [api.get(path + end, headers=headers) for end in ("", "/", "/?x=1")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_an_item_is_linked_read_and_removed_with_a_final_slash(api: FlaskClient, bearer: Bearer) -> None:
    headers, path = bearer("write"), "/api/objects/demo/case/1/integrations/openproject/"

    linked = api.post(path, json={"reference": "101"}, headers=headers)
    shown = api.get(f"{path}101/", headers=headers)
    removed = api.delete(f"{path}101/", headers=headers)

    assert (linked.status_code, shown.status_code, removed.status_code) == (201, 200, 204)


@pytest.mark.parametrize("path", ["/api/mcp", "/api/mcp/"])
@pytest.mark.parametrize("accept", [None, "*/*", "application/json, text/event-stream"])
def test_mcp_takes_a_final_slash_and_a_missing_accept(
    api: FlaskClient, bearer: Bearer, path: str, accept: str | None
) -> None:
    headers = {**bearer("read"), "Host": "127.0.0.1:8000", **({"Accept": accept} if accept else {})}

    answer = api.post(path, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)

    assert answer.status_code == 200, answer.text
    assert answer.json["result"]["tools"][0]["name"] == TOOL  # type: ignore[index]
