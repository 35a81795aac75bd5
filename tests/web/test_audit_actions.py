"""Every deed of the audit trail, done through the faces that people, programs and agents use, and read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from agents import Served
from audit_lines import entries_of, text_of
from embedders import token_of
from flask import Flask
from flask.testing import FlaskClient
from oauth_flow import consent, oauth_values
from pages import Behind, csrf, fill, post
from support import ALICE, CASE, CASE_PATH, CONSOLE, Upstreams, signed_in_client
from test_oauth_pages import come_back, go
from werkzeug.test import TestResponse

from panel.logs.audit import AuditAction
from panel.storage.engine import db
from panel.storage.models import AuditEntry, OpenUpdate

SECRET = "canary-secret-41d8"
TITLE = "Canary title 41d8"
TEMPLATE = str(Path(__file__).parent.parent.parent / "docs" / "templates" / "xwiki-openconnector-source.yaml")
EMBEDDER = "host application"


@dataclass
class World:
    """Everybody who may do something, and the panel in which they do it."""

    app: Flask
    upstreams: Upstreams
    alice: FlaskClient
    behind: Behind
    folder: Path
    reference: str = ""
    """Of the last request."""
    secrets: list[str] = field(default_factory=lambda: [SECRET, TITLE])

    def json(self, method: str, path: str, body: Any = None, scope: str = "write", **headers: str) -> TestResponse:
        token = self.token(scope)
        known = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return self.keep(self.app.test_client().open(path, method=method, json=body, headers=known))

    def token(self, scope: str) -> str:
        from panel.accounts.api_tokens import TokenRequest

        token = str(self.behind.api_tokens.create_token(TokenRequest(f"{scope} script", scope), by=CONSOLE))
        self.secrets.append(token)
        return token

    def press(self, path: str, **typed: str) -> TestResponse:
        return self.keep(post(self.alice, path, typed))

    def command(self, *words: str, stdin: str = "") -> str:
        result = self.app.test_cli_runner().invoke(args=list(words), input=stdin)
        assert result.exit_code == 0, result.output
        self.reference = ""
        return result.output

    def keep(self, answer: TestResponse) -> TestResponse:
        self.reference = answer.headers["X-Request-Id"]
        return answer

    def link(self) -> None:
        self.json("POST", f"{CASE_PATH}/openproject", {"reference": "101"})

    def tab(self, part: str, **typed: str) -> TestResponse:
        """A form of the tab, sent by Alice's browser."""
        page = self.alice.get("/objects/demo/case/1/integrations/openproject")
        path = f"/objects/demo/case/1/integrations/openproject/{part}"
        return self.keep(self.alice.post(path, data={"csrf_token": csrf(page), **typed}))

    def person(self, name: str = "bob", role: str = "editor") -> str:
        """A new person's address among the admin pages."""
        self.behind.people.create(name, SECRET, role=role, by=CONSOLE)
        return f"/admin/people/{next(user.id for user in self.behind.people.all() if user.name == name)}"

    def application(self) -> str:
        self.secrets.append(self.behind.embed_apps.create("Cases", ["https://cases.example.org"], by=CONSOLE).value)
        return f"/admin/embedding/{self.behind.embed_apps.named('Cases').id}"

    def sign_in(self, password: str) -> TestResponse:
        return self.keep(post(self.app.test_client(), "/admin/sign-in", {"name": "bob", "password": password}))


@pytest.fixture
def world(connected: Flask, upstreams: Upstreams, tmp_path: Path) -> World:
    return World(connected, upstreams, signed_in_client(connected, "alice", "admin"), Behind(connected), tmp_path)


# --- what is done ----------------------------------------------------------------------------------------------------


def unlink_by_json(world: World) -> None:
    world.link()
    world.json("DELETE", f"{CASE_PATH}/openproject/101")


def update_by_json(world: World) -> None:
    world.link()
    world.json("PATCH", f"{CASE_PATH}/openproject/101", {"subject": TITLE, "assignee": None})


def update_without_answer(world: World) -> None:
    world.link()
    world.upstreams.openproject.fault = "login-page"
    world.upstreams.openproject.fault_only = lambda request: request.method == "PATCH"
    assert world.json("PATCH", f"{CASE_PATH}/openproject/101", {"subject": TITLE}).status_code == 503


def create_by_json(world: World) -> None:
    body = {"projectId": "1", "subject": TITLE, "description": SECRET}
    assert world.json("POST", f"{CASE_PATH}/openproject/new", body).status_code == 201


def create_without_answer(world: World) -> None:
    world.upstreams.openproject.cut_create_answer = True
    body = {"projectId": "1", "subject": TITLE}
    assert world.json("POST", f"{CASE_PATH}/openproject/new", body).status_code == 503


def settle_create(world: World) -> None:
    create_without_answer(world)
    world.press("/admin/creates/1/absent")


def settle_update(world: World) -> None:
    world.link()
    with world.app.app_context():
        opened = OpenUpdate(
            integration="openproject", register="demo", schema="case", object_id="1", reference="101", fields="subject",
            who="write script", face="JSON", request_id="LP-1", is_made=True,
        )  # fmt: skip
        db.session.add(opened)
        db.session.commit()
    world.press("/admin/creates/updates/1", value="changed")


def backed_up(world: World) -> None:
    world.command("backup", str(world.folder / "backup.tar.gz"))


def restored(world: World) -> None:
    backed_up(world)
    world.command("restore", str(world.folder / "backup.tar.gz"), "--replace")


def link_in_the_tab(world: World) -> None:
    world.tab("links", reference="101")


def unlink_in_the_tab(world: World) -> None:
    world.link()
    world.tab("unlink", reference="101")


def follow_by_json(world: World) -> None:
    world.upstreams.xwiki.add_page("Sandbox.Draft")
    world.json("POST", f"{CASE_PATH}/xwiki", {"reference": "Sandbox.Draft"})
    world.upstreams.xwiki.rename_page("Sandbox.Draft", "Sandbox.Permit")
    body = {"reference": "Sandbox.Permit"}
    assert world.json("PATCH", f"{CASE_PATH}/xwiki/xwiki:Sandbox.Draft", body).status_code == 200


def _linked_in_the_tab(world: World) -> str:
    world.json("POST", f"{CASE_PATH}/openproject", {"reference": "101"})
    return "/objects/demo/case/1/integrations/openproject/items/101"


def repoint_in_the_tab(world: World) -> None:
    assert world.press(f"{_linked_in_the_tab(world)}/repoint", reference="102").status_code == 303


def note_in_the_tab(world: World) -> None:
    assert world.press(f"{_linked_in_the_tab(world)}/note", note=TITLE).status_code == 303


def link_when_embedded(world: World) -> None:
    made = world.behind.embed_apps.create("Cases", ["https://cases.example.org"], by=CONSOLE)
    headers = {"Authorization": f"Bearer {token_of(made, CASE, sub='carol')}"}
    path = "/embed/demo/case/1/integrations/openproject/links"
    world.secrets.append(made.value)
    world.keep(world.app.test_client().post(path, data={"reference": "101"}, headers=headers))


def new_source(world: World) -> None:
    auth = {"type": "token", "token": SECRET}
    body = {"slug": "other", "location": f"https://other.example/{SECRET}", "auth": auth, "headers": {"X-Key": SECRET}}
    assert world.json("POST", "/api/sources", body, "admin").status_code == 201


def source_by_form(world: World) -> None:
    world.keep(fill(world.alice, "/admin/sources/xwiki", name=TITLE, rate_limit="60/minute"))


def secret_by_form(world: World) -> None:
    page = fill(world.alice, "/admin/sources/xwiki", **{"auth__basic__secret": SECRET})
    assert page.status_code == 303, page.text
    world.keep(page)


def imported(world: World) -> None:
    values = (f"location={world.upstreams.xwiki_url}", "auth.username=alice", f"auth.password={SECRET}")
    world.command("source", "import", TEMPLATE, *[word for value in values for word in ("--set", value)])


def accepted(world: World) -> None:
    world.command("source", "test", "openproject")
    world.link()
    world.upstreams.openproject.host_name = "elsewhere.example"
    world.command("source", "test", "openproject", "--accept-instance")


def connected_by_oauth(world: World) -> None:
    world.behind.sources.delete("openproject", by=CONSOLE)
    world.behind.sources.create(oauth_values(world.upstreams, "authorization_code"), by=CONSOLE)
    world.keep(come_back(world.alice, consent(go(world.alice).headers["Location"])))


def throttled(world: World) -> None:
    world.person()
    while world.sign_in("wrong").status_code != 429:
        pass
    assert world.sign_in(SECRET).status_code == 429
    world.reference = ""


def sign_out(world: World) -> None:
    world.press("/admin/sign-out")


def sign_in(world: World) -> None:
    world.person()
    world.sign_in(SECRET)


def own_password(world: World) -> None:
    world.person("dora", "admin")
    dora = world.app.test_client()
    post(dora, "/admin/sign-in", {"name": "dora", "password": SECRET})
    new = {"current": SECRET, "password": f"{SECRET} 2", "again": f"{SECRET} 2"}
    world.keep(post(dora, "/admin/password", new))


def on_page(path: Callable[[World], str], part: str = "", **typed: str) -> Callable[[World], object]:
    """Make something of the world, and press a button on its page."""
    return lambda world: world.press(f"{path(world)}{part}", **typed)


def kept_out(world: World) -> str:
    path = world.person()
    world.press(f"{path}/switch", value="off")
    return path


def with_two_secrets(world: World) -> str:
    path = world.application()
    page = world.press(f"{path}/rotate")
    assert page.status_code == 201
    world.secrets += re.findall(r"secret[^<>]*>([A-Za-z0-9_-]{43})<", page.text)
    return path


def deleted_application(world: World) -> None:
    world.press(f"{world.application()}/delete")


def switched_off(world: World) -> str:
    path = world.application()
    world.press(f"{path}/switch", value="off")
    return path


def disconnected(world: World) -> str:
    world.press("/admin/connector", value="off")
    return "/admin/connector"


def revoked(world: World) -> None:
    token = world.token("read")
    world.press(f"/admin/tokens/{world.behind.api_tokens.tokens()[0].id}/revoke")
    assert world.behind.api_tokens.by_token(token) is None


def without_secret(world: World) -> None:
    world.json("PATCH", "/api/sources/xwiki", {"auth": {"type": "none"}}, "admin")


def turned_off(world: World) -> str:
    world.press("/admin/sources/xwiki/enabled", value="off")
    return "/admin/sources/xwiki"


# --- what is written -------------------------------------------------------------------------------------------------

PERSON = {"who": "alice", "kind": "session", "face": "admin"}
SCRIPT = {"who": "write script", "kind": "token", "face": "JSON"}
ADMIN_SCRIPT = {**SCRIPT, "who": "admin script"}
COMMAND = {"who": "console", "kind": re.compile(r"local:\w+"), "face": "console"}
LINKED = {"integration": "openproject", "register": "demo", "schema": "case", "object_id": "1", "subject": "101"}
MADE = {**LINKED, "subject": re.compile(r"\d+")}
WIKI = {"subject": "xwiki", "integration": "xwiki"}
CASES = {"subject": "Cases"}
BOB = {"subject": "bob"}

ROWS: list[tuple[AuditAction, Callable[[World], object], dict[str, Any]]] = [
    (AuditAction.LINK, World.link, {**SCRIPT, **LINKED}),
    (AuditAction.LINK, link_in_the_tab, {**PERSON, "face": "tab", **LINKED}),
    (AuditAction.LINK, link_when_embedded, {"who": "carol (Cases)", "kind": re.compile("embed:[0-9a-f]{32}"), "face": "embed", **LINKED}),
    (AuditAction.CREATE, create_by_json, {**SCRIPT, **MADE}),
    (AuditAction.CREATE, lambda w: w.tab("new", projectId="1", subject=TITLE), {**PERSON, "face": "tab", **MADE}),
    (AuditAction.CREATE_UNCERTAIN, create_without_answer, {**SCRIPT, **LINKED, "subject": ""}),
    (AuditAction.CREATE_SETTLED, settle_create, {**PERSON, **LINKED, "subject": "", "detail": "not there"}),
    (AuditAction.UPDATE, update_by_json, {**SCRIPT, **LINKED, "detail": "subject, assignee"}),
    (AuditAction.UPDATE_UNCERTAIN, update_without_answer, {**SCRIPT, **LINKED, "detail": "subject"}),
    (AuditAction.UPDATE_SETTLED, settle_update, {**PERSON, **LINKED, "detail": re.compile(r"changed: subject; write script, [-0-9]+ [0-9:]+ UTC")}),
    (AuditAction.UNLINK, unlink_by_json, {**SCRIPT, **LINKED}),
    (AuditAction.UNLINK, unlink_in_the_tab, {**PERSON, "face": "tab", **LINKED}),
    (
        AuditAction.FOLLOW,
        follow_by_json,
        {**SCRIPT, **LINKED, "integration": "xwiki", "subject": "xwiki:Sandbox.Draft", "detail": "now xwiki:Sandbox.Permit"},
    ),
    (AuditAction.REPOINT, repoint_in_the_tab, {**PERSON, "face": "tab", **LINKED, "subject": "101", "detail": "now 102"}),
    (AuditAction.NOTE, note_in_the_tab, {**PERSON, "face": "tab", **LINKED, "subject": "101", "detail": ""}),
    #
    (AuditAction.SOURCE_CREATED, new_source, {**ADMIN_SCRIPT, "subject": "other", "integration": "other", "detail": ""}),
    (AuditAction.SOURCE_CHANGED, source_by_form, {**PERSON, **WIKI, "detail": "name, rate_limit"}),
    (AuditAction.SOURCE_CHANGED, without_secret, {**ADMIN_SCRIPT, **WIKI, "detail": "auth.type, auth.username"}),
    (AuditAction.SOURCE_ENABLED, lambda w: w.press(f"{turned_off(w)}/enabled", value="on"), {**PERSON, **WIKI}),
    (AuditAction.SOURCE_DISABLED, turned_off, {**PERSON, **WIKI}),
    (
        AuditAction.SOURCE_DISABLED,
        lambda w: w.json("PATCH", "/api/sources/xwiki", {"enabled": False}, "admin"),
        {**ADMIN_SCRIPT, **WIKI},
    ),
    (AuditAction.SOURCE_IMPORTED, imported, {**COMMAND, **WIKI}),
    (AuditAction.INSTANCE_ACCEPTED, accepted, {**COMMAND, "subject": "openproject", "integration": "openproject"}),
    (AuditAction.SOURCE_DELETED, lambda w: w.press("/admin/sources/xwiki/delete"), {**PERSON, **WIKI}),
    (AuditAction.SOURCE_DELETED, lambda w: w.json("DELETE", "/api/sources/xwiki", None, "admin"), {**ADMIN_SCRIPT, **WIKI}),
    (AuditAction.SECRET_SET, secret_by_form, {**PERSON, **WIKI, "detail": re.compile(r"auth\.password replaced, for http://\S+")}),
    (AuditAction.SECRET_SET, new_source, {**ADMIN_SCRIPT, "subject": "other", "detail": "auth.token set, for https://other.example"}),
    (AuditAction.SECRET_SET, imported, {**COMMAND, **WIKI}),
    (AuditAction.SECRET_REMOVED, without_secret, {**ADMIN_SCRIPT, **WIKI}),
    (AuditAction.OAUTH_CONNECTED, connected_by_oauth, {**PERSON, "subject": "openproject", "integration": "openproject"}),
    #
    (
        AuditAction.EMBED_APP_CREATED,
        lambda w: w.press("/admin/embedding", name="Cases", origins="https://cases.example.org"),
        {**PERSON, **CASES, "detail": re.compile(r"lpk_\w+, origins https://cases\.example\.org")},
    ),
    (
        AuditAction.EMBED_APP_CREATED,
        lambda w: w.secrets.append(
            w.command("embed-app", "create", "Cases", "--origin", "https://c.example").split("secret")[1].strip()
        ),
        {**COMMAND, **CASES},
    ),
    (
        AuditAction.EMBED_APP_CHANGED,
        on_page(World.application, origins="https://new.example"),
        {**PERSON, **CASES, "detail": "origins https://new.example"},
    ),
    (
        AuditAction.EMBED_APP_CHANGED,
        lambda w: w.press(f"{w.application()}/limits", registers="demo\ncases", integrations="xwiki"),
        {**PERSON, **CASES, "detail": "registers demo, cases; integrations xwiki"},
    ),
    (AuditAction.EMBED_APP_ROTATED, with_two_secrets, {**PERSON, **CASES, "detail": re.compile(r"lpk_\w+")}),
    (AuditAction.EMBED_APP_RETIRED, on_page(with_two_secrets, "/retire"), {**PERSON, **CASES, "detail": re.compile(r"lpk_\w+")}),
    (AuditAction.EMBED_APP_DISABLED, switched_off, {**PERSON, **CASES}),
    (AuditAction.EMBED_APP_DELETED, deleted_application, {**PERSON, **CASES}),
    (AuditAction.EMBED_APP_ENABLED, on_page(switched_off, "/switch", value="on"), {**PERSON, **CASES}),
    #
    (AuditAction.CONNECTOR_OFF, disconnected, PERSON),
    (AuditAction.CONNECTOR_OFF, lambda w: w.command("connector", "off"), COMMAND),
    (AuditAction.CONNECTOR_ON, on_page(disconnected, value="on"), PERSON),
    (
        AuditAction.KEYS_ROTATED,
        lambda w: w.command("keys", "rotate"),
        {**COMMAND, "detail": re.compile(r"key \w+, 2 sealed anew, retired \w+")},
    ),
    #
    (AuditAction.BACKUP_MADE, backed_up, {**COMMAND, "subject": "backup.tar.gz"}),
    (AuditAction.BACKUP_RESTORED, restored, {**COMMAND, "subject": "backup.tar.gz"}),
    #
    (AuditAction.TOKEN_ISSUED, lambda w: w.press("/admin/tokens", name="agent", scope="read"), {**PERSON, "subject": "agent"}),
    (AuditAction.TOKEN_ISSUED, lambda w: w.command("token", "create", "agent", "--scope", "read"), {**COMMAND, "subject": "agent"}),
    (AuditAction.TOKEN_REVOKED, revoked, {**PERSON, "subject": "read script"}),
    (AuditAction.PERSON_ADDED, lambda w: w.press("/admin/people", name="bob", role="viewer"), {**PERSON, **BOB, "detail": "viewer"}),
    (
        AuditAction.PERSON_ADDED,
        lambda w: w.command("user", "create", "bob", "--password-stdin", stdin=SECRET),
        {**COMMAND, **BOB, "detail": "editor"},
    ),
    (AuditAction.PERSON_DISABLED, kept_out, {**PERSON, **BOB}),
    (AuditAction.PERSON_ENABLED, on_page(kept_out, "/switch", value="on"), {**PERSON, **BOB}),
    (AuditAction.PASSWORD_RESET, on_page(World.person, "/reset"), {**PERSON, **BOB}),
    (AuditAction.PASSWORD_CHANGED, own_password, {**PERSON, "who": "dora", "subject": "dora"}),
    (AuditAction.ROLE_CHANGED, on_page(World.person, role="viewer"), {**PERSON, **BOB, "detail": re.compile("viewer")}),
    (AuditAction.SIGNED_IN, sign_in, {**PERSON, "who": "bob"}),
    (AuditAction.SIGNED_OUT, sign_out, PERSON),
    (AuditAction.SIGN_IN_THROTTLED, throttled, {**PERSON, "who": "bob", "subject": "bob"}),
]  # fmt: skip


def test_every_deed_has_a_row() -> None:
    assert {deed for deed, _, _ in ROWS} == set(AuditAction)


@pytest.mark.parametrize(
    ("deed", "work", "expected"), ROWS, ids=[f"{deed}-by-{line['face']}" for deed, _, line in ROWS]
)
def test_a_deed_is_told(
    world: World, deed: AuditAction, work: Callable[[World], object], expected: dict[str, Any]
) -> None:
    work(world)

    told = entries_of(world.app)
    found = [entry for entry in told if entry.deed == deed]
    assert found, [entry.deed for entry in told]
    assert_says(found[-1], expected)
    if deed is not AuditAction.SIGN_IN_THROTTLED:
        assert found[-1].request_id == world.reference
    assert_tells_no_secret(told, world)


def assert_says(entry: AuditEntry, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        said = getattr(entry, name)
        assert value.fullmatch(said) if isinstance(value, re.Pattern) else said == value, (name, said, value)


def assert_tells_no_secret(told: list[AuditEntry], world: World) -> None:
    everything = " ".join(text_of(entry) for entry in told)
    assert [secret for secret in world.secrets if secret in everything] == []


def test_removing_an_application_is_told(world: World) -> None:
    world.application()
    with world.app.app_context():
        apps = world.app.extensions["leafpanel"].embed_apps
        apps.remove(apps.named("Cases"), by=ALICE)

    assert_says(entries_of(world.app)[-1], {"deed": "embed-app-deleted", **PERSON, **CASES})


def test_one_form_that_changes_address_secret_and_switch_is_told_line_by_line(world: World) -> None:
    before = len(entries_of(world.app))
    auth = {"type": "basic", "username": "alice", "password": SECRET}
    body = {"location": "https://elsewhere.example/wiki", "enabled": False, "auth": auth}

    world.json("PATCH", "/api/sources/xwiki", body, "admin")

    lines = [(entry.deed, entry.detail) for entry in entries_of(world.app)[before:] if entry.deed != "token-issued"]
    assert lines == [
        ("source-changed", "location"),
        ("source-disabled", ""),
        ("secret-set", "auth.password replaced, for https://elsewhere.example"),
    ]


@pytest.mark.parametrize("key", ["one key", ""])
def test_a_create_that_is_sent_twice_under_one_key_is_told_once(world: World, key: str) -> None:
    headers = {"Authorization": f"Bearer {world.token('write')}", **({"Idempotency_Key": key} if key else {})}
    for _ in range(2):
        world.json("POST", f"{CASE_PATH}/openproject/new", {"projectId": "1", "subject": TITLE}, **headers)

    deeds = [entry.deed for entry in entries_of(world.app)]
    assert deeds.count("create") == (1 if key else 2)


# --- agents ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["2026-07-28", "stdio"])
def agent_told(request: pytest.FixtureRequest, served: Served) -> Iterator[tuple[Any, Served, dict[str, str]]]:
    who = (
        {"who": "local agent", "kind": "local"} if request.param == "stdio" else {"who": "write agent", "kind": "token"}
    )
    with served.agent(request.param) as agent:
        yield agent, served, {**who, "face": "MCP"}


def test_what_an_agent_does_is_told(agent_told: tuple[Any, Served, dict[str, str]]) -> None:
    agent, served, who = agent_told

    agent.body("link", "openproject", payload={"reference": "101"})
    agent.body("update", "openproject", entityId="101", payload={"subject": TITLE})
    agent.body("create", "openproject", payload={"projectId": "1", "subject": TITLE})
    agent.body("unlink", "openproject", entityId="101")
    agent.failure("unlink", "openproject", entityId="101")

    told = [entry for entry in entries_of(served.app) if entry.face == "MCP"]
    assert [entry.deed for entry in told] == ["link", "update", "create", "unlink"]
    for entry in told:
        assert_says(entry, {**who, **MADE, "request_id": re.compile(r"LP-\w{4}-\d\d")})
    assert TITLE not in " ".join(map(text_of, told))
