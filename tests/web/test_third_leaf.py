"""A third leaf, the example, through every face: as an installed package and as a folder in the tree of the panel."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from agents import Agent, Served, free_port
from gitlab_standin import TOKEN, GitLabStandIn
from leafpanel_gitlab import gitlab
from pages import source_form
from support import CASE_PATH, MakeApp, signed_in_client
from tab_reader import Seen, follow, get, leaf, send

from panel.core.messages import _
from panel.integrations import registry
from panel.integrations.descriptor import BrokenDescriptor
from panel.integrations.registry import Registry, load_registry
from panel.sandbox.standin import RunningServer, mounted
from panel.web.formatting import short_day
from panel.web.translations import translated

LEAF_FOLDER = Path(gitlab.__file__).parent
ISSUES = f"{CASE_PATH}/gitlab"
BRIDGE, PAINT, GATE = "town/bridges#1", "town/bridges#2", "town/gates#1"
FILE = """
source:
  reference: gitlab
  name: Our issues
  type: api
  location: {location}
  auth: {{type: token, token: {token}, header: PRIVATE-TOKEN}}
"""


_NUMBERS = count(1)


def new_package_name() -> str:
    """A name that no earlier test imported a package by."""
    return f"copied_leaves_{next(_NUMBERS)}"


def load_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """All leaves, after the package was installed: this is what pip leaves of it."""
    metadata = folder / "leafpanel_gitlab-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: leafpanel-gitlab\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[leafpanel.integrations]\ngitlab = leafpanel_gitlab.gitlab.leaf\n")
    monkeypatch.syspath_prepend(str(folder))
    return load_registry()


def load_in_tree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """All leaves of a copy of the panel's folder, to which the leaf's folder was copied."""
    copy = folder / new_package_name()
    shutil.copytree(registry.HERE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(LEAF_FOLDER, copy / "gitlab", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(folder))
    return load_registry(copy, copy.name)


@dataclass
class World:
    served: Served
    standin: GitLabStandIn
    file: Path

    @property
    def headers(self) -> dict[str, str]:
        return self.served.bearer()

    def ask(self, method: str, path: str, **given: Any) -> Any:
        return self.served.app.test_client().open(path, method=method, headers=self.headers, **given)

    def run(self, *command: str) -> str:
        result = self.served.app.test_cli_runner().invoke(args=list(command))
        assert result.exit_code == 0, result.output
        return str(result.output)

    def connect(self) -> str:
        return self.run("source", "import", str(self.file))

    def tab(self, path: str = "") -> Seen:
        return get(signed_in_client(self.served.app, f"Noor {path}", "editor"), leaf("gitlab", path))


@pytest.fixture
def own_ids() -> list[str]:
    """The leaves of the panel itself."""
    return load_registry().ids()


@pytest.fixture(params=[load_installed, load_in_tree])
def world(
    request: pytest.FixtureRequest, own_ids: list[str], make_app: MakeApp, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:  # fmt: skip
    folder = tmp_path / "packages"
    folder.mkdir()
    standin, port = GitLabStandIn(), free_port()
    upstream = RunningServer(mounted(gitlab=standin))
    file = tmp_path / "gitlab.yaml"
    file.write_text(FILE.format(location=f"{upstream.url}/gitlab/api/v4", token=TOKEN))
    settings = {"PANEL_PORT": str(port), "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port}
    app = make_app(request.param(folder, monkeypatch), **settings)
    server = RunningServer(app, port=port)
    yield World(Served(app, server, {}), standin, file)
    server.close()
    upstream.close()


@pytest.fixture
def agent(world: World) -> Iterator[Agent]:
    with world.served.agent() as connected:
        yield connected


def test_it_is_in_discovery_strip_overview_openapi_and_tool_schema(
    world: World, agent: Agent, own_ids: list[str]
) -> None:
    found = world.ask("GET", "/api/integrations").json["integrations"]
    strip = world.tab().texts(".lp-tab-link")
    overview = signed_in_client(world.served.app, "alice", "admin").get("/admin/").text
    document = world.ask("GET", "/api/openapi.json").json
    (tool,) = agent.tools()

    expected = [*own_ids, "gitlab"]
    assert [row["id"] for row in found] == expected
    assert found[-1]["label"] == "Issues"
    assert strip[-1].startswith("Issues")
    assert "GitLab, <code>gitlab</code>" in overview.replace("\n", "")
    assert document["components"]["parameters"]["Integration"]["schema"]["enum"] == expected
    assert tool.input_schema["properties"]["integrationId"]["enum"] == expected


def test_without_a_source_every_face_says_so(world: World, agent: Agent) -> None:
    polled, told, seen = world.ask("GET", ISSUES), agent.failure("list", "gitlab"), world.tab()

    assert (polled.status_code, polled.json) == (503, told)
    assert told["message"] == 'OpenConnector source "gitlab" for integration "gitlab" is missing or unreadable.'
    assert told["details"]["cause"] == "openconnector-source-missing"
    assert (seen.status, seen.texts(".lp-notice h2")) == (503, ["GitLab connection not configured"])


def test_one_file_connects_it_and_every_face_links_and_creates(world: World, agent: Agent) -> None:
    assert "Created source gitlab" in world.connect()

    linked = world.ask("POST", ISSUES, json={"reference": BRIDGE})
    found = agent.body("search", "gitlab", filters={"search": "bridge"})
    agent.body("link", "gitlab", payload={"reference": PAINT})
    form = world.tab("/new")
    editor = signed_in_client(world.served.app, "Ilse", "editor")
    typed = {"project": "town/gates", "title": "Oil the hinges"}
    shown = follow(editor, send(editor, get(editor, leaf("gitlab", "/new")), "#lp-new", typed))
    polled = world.ask("GET", ISSUES).json

    assert (linked.status_code, linked.json["title"]) == (201, "Replace the north bridge")
    assert [(hit["reference"], hit["linked"]) for hit in found["items"]] == [(BRIDGE, True), (PAINT, False)]
    assert form.texts("#lp-new label") == ["Project", "Title", "Description (optional)"]
    assert shown.texts(".lp-title")[0] == "Oil the hinges"
    assert agent.body("list", "gitlab") == polled
    assert [row["reference"] for row in polled["items"]] == ["town/gates#2", PAINT, BRIDGE]
    assert world.standin.issues["town/gates", 2]["title"] == "Oil the hinges"


def test_its_rows_show_number_status_assignee_and_dates(world: World) -> None:
    world.connect()
    for reference in (BRIDGE, PAINT):
        world.ask("POST", ISSUES, json={"reference": reference})

    page = world.tab()
    closed, opened = page.all(".lp-rows > li")

    assert page.texts(".lp-summary") == ["2 issues : 1 open, 1 closed"]
    assert page.texts(".lp-id") == ["#2", "#1"]
    assert page.texts(".lp-pill") == ["Closed , change", "Open , change"]
    assert "#108548" in (opened.html or "")
    assert page.texts(".lp-meta") == [
        f"#2 Assignee Unassigned Project town/bridges Labels stone Opened {short_day(date(2026, 3, 2))}",
        f"#1 Assignee Anna Project town/bridges Labels stone Opened {short_day(date(2026, 3, 2))}",
    ]
    assert page.texts(".lp-when") == [f"Updated {short_day(date(2026, 5, day))}" for day in (2, 1)]
    assert "lp-row-ticket" in (closed.attributes["class"] or "")


def test_its_rows_are_as_the_api_description_says(world: World) -> None:
    world.connect()
    world.ask("POST", ISSUES, json={"reference": BRIDGE})

    document, polled = world.ask("GET", "/api/openapi.json").json, world.ask("GET", ISSUES).json

    schema = {"$ref": "#/components/schemas/List", "components": document["components"]}
    jsonschema_rs.validator_for(schema).validate(polled)
    (row,) = polled["items"]
    assert {**row, "linkedBy": "", "linkedAt": "", "url": ""} == {
        "id": BRIDGE, "reference": BRIDGE, "title": "Replace the north bridge", "number": "1", "status": "Open",
        "assignees": ["Anna"], "project": "town/bridges", "labels": ["stone"], "created": "2026-03-02T08:00:00Z",
        "url": "", "updated": "2026-05-01T09:00:00Z", "state": "live", "linkedBy": "", "linkedAt": "",
        "note": "",
    }  # fmt: skip


def test_a_status_is_changed_from_its_row(world: World) -> None:
    world.connect()
    world.ask("POST", ISSUES, json={"reference": BRIDGE})
    editor = signed_in_client(world.served.app, "Ilse", "editor")

    edit = send(editor, get(editor, leaf("gitlab")), ".lp-pill-form")
    chosen = edit.texts("option[selected]")
    page = follow(editor, send(editor, edit, "form.lp-form", {"status": "closed"}))

    assert chosen == ["Open"]
    assert page.texts(".lp-pill") == ["Closed , change"]
    assert world.standin.issues["town/bridges", 1]["state"] == "closed"


def test_text_of_the_upstream_is_escaped_in_its_rows(world: World) -> None:
    world.connect()
    world.ask("POST", ISSUES, json={"reference": GATE})

    page = world.tab()

    assert page.texts(".lp-title") == ["<b>Gate</b> stuck"]
    assert page.all(".lp-rows b") == []


def test_its_refusals_and_failures_are_those_of_the_other_leaves(world: World, agent: Agent) -> None:
    world.connect()
    world.ask("POST", ISSUES, json={"reference": BRIDGE})

    again, nowhere = (world.ask("POST", ISSUES, json={"reference": one}) for one in (BRIDGE, "town/bridges#99"))
    elsewhere = world.ask("POST", ISSUES, json={"reference": "https://elsewhere.example/town/bridges/-/issues/1"})
    empty = world.ask("POST", f"{ISSUES}/new", json={"project": "town/gates", "title": " "})
    too_long = world.ask("POST", f"{ISSUES}/new", json={"project": "town/gates", "title": "x" * 300})
    world.standin.fault = "unauthorized"
    polled, told, seen = world.ask("GET", ISSUES), agent.failure("list", "gitlab"), world.tab()

    refused = [again, nowhere, elsewhere, empty, too_long]
    assert [one.status_code for one in refused] == [409, 404, 400, 400, 422]
    assert [one.json["field"] for one in (elsewhere, empty)] == ["reference", "title"]
    assert too_long.json["fields"] == {"title": "is too long (maximum is 255 characters)"}
    assert (polled.status_code, polled.json) == (503, told)
    assert told["details"]["reason"] == "credentials-rejected"
    assert [link["reference"] for link in told["links"]] == [BRIDGE]
    assert seen.texts(".lp-notice h2") == ["GitLab authentication failed"]
    assert len(world.standin.issues) == 3


def test_the_connection_test_runs_every_step(world: World) -> None:
    world.connect()

    output = world.run("source", "test", "gitlab")

    assert "Yes, version 18.6.0." in output
    assert "This account is a member of 2 projects." in output


def test_the_source_form_fixes_the_header_of_its_token(world: World) -> None:
    world.connect()
    admin = signed_in_client(world.served.app, "alice", "admin")

    page = admin.get("/admin/sources/gitlab")
    form = source_form(page)
    saved = admin.post("/admin/sources/gitlab", data={**form, "name": "Renamed"})

    assert 'name="auth.token.header"' not in page.text
    assert saved.status_code == 303
    source = world.ask("GET", "/api/integrations/gitlab/health").json
    assert source["status"] == "ok"


# --- what a leaf's folder may hold -----------------------------------------------------------------------------------


def copied(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Callable[[], Registry]:
    """A folder of leaves that holds a copy of the example, with some files replaced."""
    package = folder / new_package_name()
    shutil.copytree(LEAF_FOLDER, package / "gitlab", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").touch()
    for name, text in files.items():
        (package / "gitlab" / name.replace("_", ".")).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return lambda: load_registry(package, package.name)


def test_a_row_template_in_its_folder_draws_its_rows_and_escapes(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_html = "{% macro row(line) %}<p class='own'>{{ line.title }}</p>{% endmacro %}"
    standin = GitLabStandIn()
    upstream = RunningServer(mounted(gitlab=standin))
    app = make_app(copied(tmp_path, monkeypatch, row_html=row_html)(), PANEL_ALLOWED_PRIVATE_HOSTS=upstream.host_port)
    world = World(Served(app, upstream, {}), standin, tmp_path / "gitlab.yaml")
    world.file.write_text(FILE.format(location=f"{upstream.url}/gitlab", token=TOKEN))
    world.connect()
    world.ask("POST", ISSUES, json={"reference": GATE})

    page = world.tab()

    assert page.texts(".own") == ["<b>Gate</b> stuck"]
    assert page.texts(".lp-summary") == ["1 issue : 1 open"]
    upstream.close()


def test_a_row_template_that_cannot_be_parsed_stops_the_start_and_is_named(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = copied(tmp_path, monkeypatch, row_html="\n{% macro row(line) %}")()

    with pytest.raises(BrokenDescriptor, match=r"gitlab/row\.html, line 2: "):
        make_app(leaves)


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("id: other\n", "id must be 'gitlab'"),
        ("id: gitlab\ncolour: red\n", "unknown key 'colour'"),
        ("id: gitlab\ncreate: [{name: text, label: Text, kindd: text}]\n", "unknown key 'kindd'"),
        ("id: gitlab\ncolumns: [{name: status, label: Status, kind: pil}]\n", "unknown kind 'pil'"),
        ("id: gitlab\ncolumns: [{name: a, label: A, kind: pill}, {name: b, label: B, kind: pill}]\n", "more than one"),
        ("id: [\n", "gitlab/leaf.yaml: "),
    ],
)
def test_a_broken_descriptor_stops_the_start_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str, told: str
) -> None:
    with pytest.raises(BrokenDescriptor, match=told):
        copied(tmp_path, monkeypatch, leaf_yaml=yaml)()


def test_it_brings_its_texts_in_other_languages(world: World) -> None:
    admin = signed_in_client(world.served.app, "alice", "admin")
    form = admin.get("/admin/sources/gitlab?lang=nl").text

    assert "Toegangstoken" in form
    assert "Voorkeuren → Toegangstokens" in form
    assert translated(_("This {noun} is already linked.", noun="issue"), "nl") == "Dit issue is al gekoppeld."
    assert translated(_("This {noun} is already linked.", noun="page"), "nl") == "Deze pagina is al gekoppeld."
