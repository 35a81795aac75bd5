"""A leaf that an installed package brings: through every face, with no edit anywhere else and no migration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Served, free_port
from support import CASE_PATH, MakeApp, signed_in_client
from tab_reader import Seen, follow, get, leaf, send
from toys.notebook_server import NAME, PASSWORD, NotebookStandIn

from panel.integrations.descriptor import BrokenDescriptor
from panel.integrations.registry import load_registry
from panel.sandbox.standin import RunningServer, mounted

NOTES = f"{CASE_PATH}/notebook"
FILE = """
source:
  reference: notebook
  name: Our notes
  type: api
  location: {location}
  auth: {{type: basic, username: {name}, password: {password}}}
"""


def install(folder: Path, module: str) -> None:
    """What pip leaves of a package that brings a leaf."""
    told = folder / "leafpanel_notebook-0.3.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: leafpanel-notebook\nVersion: 0.3\n")
    (told / "entry_points.txt").write_text(f"[leafpanel.integrations]\nnotebook = {module}\n")


@dataclass
class World:
    served: Served
    standin: NotebookStandIn
    file: Path

    @property
    def headers(self) -> dict[str, str]:
        return self.served.bearer()

    def ask(self, method: str, path: str, **given: Any) -> Any:
        return self.served.app.test_client().open(path, method=method, headers=self.headers, **given)

    def connect(self) -> str:
        result = self.served.app.test_cli_runner().invoke(args=["source", "import", str(self.file)])
        assert result.exit_code == 0, result.output
        return str(result.output)

    def tab(self, path: str = "") -> Seen:
        return get(signed_in_client(self.served.app, f"Noor {path}", "editor"), leaf("notebook", path))


@pytest.fixture
def world(make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages, "toys.notebook.leaf")
    monkeypatch.syspath_prepend(str(packages))
    standin, port = NotebookStandIn(), free_port()
    upstream = RunningServer(mounted(notebook=standin))
    file = tmp_path / "notebook.yaml"
    file.write_text(FILE.format(location=f"{upstream.url}/notebook/", name=NAME, password=PASSWORD))
    app = make_app(load_registry(), PANEL_PORT=str(port), PANEL_ALLOWED_PRIVATE_HOSTS=upstream.host_port)
    server = RunningServer(app, port=port)
    yield World(Served(app, server, {}), standin, file)
    server.close()
    upstream.close()


@pytest.fixture
def agent(world: World) -> Iterator[Agent]:
    with world.served.agent() as connected:
        yield connected


def test_it_stands_in_discovery_strip_overview_and_the_agents_enum(world: World, agent: Agent) -> None:
    found = world.ask("GET", "/api/integrations").json["integrations"]
    strip = world.tab().texts(".lp-tab-link")
    overview = signed_in_client(world.served.app, "alice", "admin").get("/admin/").text
    (tool,) = agent.tools()

    assert [(row["id"], row["label"]) for row in found][2:] == [("notebook", "Notes")]
    assert strip[2].startswith("Notes")
    assert "Notebook, <code>notebook</code>" in overview.replace("\n", "")
    assert tool.input_schema["properties"]["integrationId"]["enum"] == ["xwiki", "openproject", "notebook"]


def test_without_its_source_it_says_so_like_every_other(world: World, agent: Agent) -> None:
    polled, told, seen = world.ask("GET", NOTES), agent.failure("list", "notebook"), world.tab()

    assert (polled.status_code, polled.json) == (503, told)
    assert told["message"] == 'OpenConnector source "notebook" for integration "notebook" is missing or unreadable.'
    assert told["details"]["cause"] == "openconnector-source-missing"
    assert (seen.status, seen.texts(".lp-notice h2")) == (503, ["Notebook connection not configured"])


def test_one_file_connects_it_and_it_links_and_creates_through_every_face(world: World, agent: Agent) -> None:
    assert "Created source notebook" in world.connect()

    linked = world.ask("POST", NOTES, json={"reference": 1})
    found = agent.body("search", "notebook", filters={"search": "bridge"})
    agent.body("link", "notebook", payload={"reference": "3"})
    form = world.tab("/new")
    editor = signed_in_client(world.served.app, "Ilse", "editor")
    shown = follow(editor, send(editor, get(editor, leaf("notebook", "/new")), "#lp-new", {"text": "Write it down"}))
    polled = world.ask("GET", NOTES).json

    assert (linked.status_code, linked.json["title"]) == (201, "Buy a bridge")
    assert [(hit["reference"], hit["linked"]) for hit in found["items"]] == [("1", True), ("3", False)]
    assert form.texts("#lp-new label") == ["Text"]
    assert shown.texts(".lp-title") == ["Write it down", "Buy a bridge", "Paint the bridge"]
    assert agent.body("list", "notebook") == polled
    assert [row["reference"] for row in polled["items"]] == ["4", "3", "1"]
    assert world.standin.notes[4] == "Write it down"


def test_its_refusals_and_failures_are_told_like_those_of_the_others(world: World, agent: Agent) -> None:
    world.connect()
    world.ask("POST", NOTES, json={"reference": 1})

    again, nowhere = (world.ask("POST", NOTES, json={"reference": one}) for one in (1, 99))
    elsewhere = world.ask("POST", NOTES, json={"reference": "https://elsewhere.example/read/1"})
    empty = world.ask("POST", f"{NOTES}/new", json={"text": " "})
    unchanged = world.ask("PATCH", f"{NOTES}/1", json={"title": "x"})
    world.standin.fault = "unauthorized"
    polled, told, seen = world.ask("GET", NOTES), agent.failure("list", "notebook"), world.tab()

    assert [one.status_code for one in (again, nowhere, elsewhere, empty, unchanged)] == [409, 404, 400, 400, 501]
    assert [one.json["field"] for one in (elsewhere, empty)] == ["reference", "text"]
    assert (polled.status_code, polled.json) == (503, told)
    assert told["details"]["reason"] == "credentials-rejected"
    assert [link["reference"] for link in told["links"]] == ["1"]
    assert seen.texts(".lp-notice h2") == ["Notebook authentication failed"]
    assert world.standin.notes.keys() == {1, 2, 3}


def test_a_test_of_its_connection_climbs_the_whole_ladder(world: World) -> None:
    world.connect()

    result = world.served.app.test_cli_runner().invoke(args=["source", "test", "notebook"])

    assert result.exit_code == 0, result.output
    assert "Yes, version 1.2." in result.output
    assert "This account sees 3 notes." in result.output


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("id: other\n", "id must be 'notebook'"),
        ("id: notebook\ncolour: red\n", "unknown key 'colour'"),
        ("id: notebook\ncreate: [{name: text, label: Text, kindd: text}]\n", "unknown key 'kindd'"),
        ("id: [\n", "notebook/leaf.yaml: "),
    ],
)
def test_a_broken_description_stops_the_start_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str, told: str
) -> None:
    source = Path(__file__).parent.parent / "toys" / "notebook" / "leaf.py"
    broken = tmp_path / "broken"
    broken.mkdir()
    folder = broken / "notebook"
    folder.mkdir()
    (broken / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "leaf.py").write_text(source.read_text())
    (folder / "leaf.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(BrokenDescriptor, match=told.replace("[", r"\[")):
        load_registry(broken, "broken")
