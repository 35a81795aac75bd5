"""One list of fields behind form, source file, JSON, checks and audit log; and the options of an integration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from pages import Behind, fill, post, source_form
from sqlalchemy import select
from support import ALICE, Upstreams, openproject_values, xwiki_values

from panel.connector import Caller
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.reasons import Reason
from panel.integrations.descriptor import Field
from panel.integrations.registry import load_registry
from panel.services import Panel
from panel.sources import fields
from panel.sources.field_types import Flag, Text
from panel.sources.fields import Control, Input, Section, SourceField
from panel.sources.options import check_options
from panel.storage.engine import db
from panel.storage.models import AuditEntry, Source

Bearer = Callable[[str], dict[str, str]]
XWIKI = "/admin/sources/xwiki"
WRONG = {"wkii": "docs"}
SENTENCE = "“options.wkii” is not a setting of a source for xWiki; it has wiki, terminal."
OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"
TESTER = Caller("test", "alice")


@pytest.fixture
def behind(app: Flask) -> Behind:
    return Behind(app)


# --- the list --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", fields.columns(), ids=lambda field: field.name)
def test_every_field_is_stored_in_a_column_of_its_name(field: SourceField) -> None:
    assert field.name in Source.__table__.columns


@pytest.mark.parametrize("field", fields.FIELDS, ids=lambda field: field.name)
def test_every_field_has_a_row_in_the_table_of_source_files(field: SourceField) -> None:
    assert re.search(rf"^\| `{field.key_in_file}(\.type)?` \|", OPERATIONS.read_text("utf-8"), re.MULTILINE)


# --- adding a field --------------------------------------------------------------------------------------------------

TEAM = SourceField(
    "team",
    "Team",
    Text(20, pattern="[a-z]+", pattern_error="“team” may have small letters only."),
    "Who looks after this source.",
    Control(Section.OPTIONS, help="Small letters.", placeholder="nobody"),
)
STRICT = SourceField("strict", "Strict", Flag(), control=Control(Section.OPTIONS, Input.CHECKBOX))


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more rows in the list, with a dictionary in place of their columns."""
    for field in (TEAM, STRICT):
        monkeypatch.setattr(Source, field.name, _column_of(field), raising=False)
    monkeypatch.setattr(fields, "FIELDS", (*fields.FIELDS, TEAM, STRICT))


def _column_of(field: SourceField) -> property:
    stored: dict[str, Any] = {}
    return property(
        lambda source: stored.get(source.slug, field.type.default),
        lambda source, value: stored.__setitem__(source.slug, value),
    )


@pytest.mark.usefixtures("added")
def test_an_added_field_is_in_the_form(connected: Flask, as_admin: FlaskClient, behind: Behind) -> None:
    shown = as_admin.get(XWIKI).text
    saved = fill(as_admin, XWIKI, "save", team="zaken", strict="on")
    refused = fill(as_admin, XWIKI, "save", team="Zaken 1")

    assert '<label for="team">Team</label>' in shown
    assert 'placeholder="nobody"' in shown
    assert 'type="checkbox" id="strict"' in shown
    assert (saved.status_code, refused.status_code) == (303, 422)
    values = behind.sources.values(behind.sources.find("xwiki"))
    assert (values["team"], values["strict"]) == ("zaken", True)
    assert '<a href="#team">Team may have small letters only.</a>' in refused.text
    assert source_form(refused)["team"] == "Zaken 1"


@pytest.mark.usefixtures("added")
def test_an_added_field_is_in_the_source_file_and_the_audit_log(connected: Flask, services: Panel) -> None:
    services.sources.change("xwiki", {"team": "zaken"}, by=ALICE)
    logged = db.session.scalars(select(AuditEntry.detail).order_by(AuditEntry.id.desc())).first()
    text = services.sources.export("xwiki")

    services.sources.import_file(text, by=ALICE, environ={"XWIKI_PASSWORD": "x"}, sets={"strict": "true"})
    values = services.sources.values(services.sources.get("xwiki"))

    assert logged == "team"
    assert list(yaml.safe_load(text)["source"])[-1] == "team"
    assert (values["team"], values["strict"]) == ("zaken", True)
    with pytest.raises(InvalidInput, match="small letters only") as caught:
        services.sources.import_file(text, by=ALICE, environ={"XWIKI_PASSWORD": "x"}, sets={"team": "Zaken"})
    assert caught.value.field == "team"


@pytest.mark.usefixtures("added")
def test_an_added_field_is_in_json_and_its_description(connected: Flask, bearer: Bearer) -> None:
    client, admin = connected.test_client(), bearer("admin")

    changed = client.patch("/api/sources/xwiki", json={"team": "zaken"}, headers=admin)
    refused = client.patch("/api/sources/xwiki", json={"team": "Zaken"}, headers=admin)
    read = client.get("/api/sources/xwiki", headers=admin)
    schemas = client.get("/api/openapi.json").json["components"]["schemas"]

    assert (changed.json["team"], read.json["team"], read.json["strict"]) == ("zaken", "zaken", False)
    assert (refused.status_code, refused.json["field"]) == (400, "team")
    assert schemas["SourceSettings"]["properties"]["team"] == {
        "type": "string", "maxLength": 20, "pattern": "^([a-z]+)?$", "description": "Who looks after this source.",
    }  # fmt: skip
    assert "team" in schemas["Source"]["allOf"][1]["required"]


# --- options ---------------------------------------------------------------------------------------------------------


def test_an_unknown_option_is_refused_by_name_in_a_file(services: Panel, upstreams: Upstreams) -> None:
    values = {**xwiki_values(upstreams), "options": WRONG}
    values["reference"] = values.pop("slug")

    with pytest.raises(InvalidInput) as caught:
        services.sources.import_file(yaml.safe_dump({"source": values}), by=ALICE, environ={})

    assert (caught.value.field, str(caught.value)) == ("options.wkii", SENTENCE)
    assert services.sources.all() == []


def test_an_unknown_option_is_refused_by_name_on_the_command_line(app: Flask, upstreams: Upstreams) -> None:
    template = str(OPERATIONS.parent / "templates" / "xwiki-openconnector-source.yaml")
    sets = ["auth.username=alice", "auth.password=secret", "options.wkii=docs"]
    words = ["source", "import", template, *[word for value in sets for word in ("--set", value)]]

    result = app.test_cli_runner().invoke(args=words)

    assert (result.exit_code, result.stderr.strip()) == (1, SENTENCE)


@pytest.mark.parametrize("path", ["/api/sources", "/api/sources/xwiki/test"])
def test_an_unknown_option_is_refused_by_name_in_json(
    app: Flask, bearer: Bearer, upstreams: Upstreams, path: str
) -> None:
    body = xwiki_values(upstreams, options=WRONG)

    answer = app.test_client().post(path, json=body, headers=bearer("admin"))

    assert (answer.status_code, answer.json["field"], answer.json["message"]) == (400, "options.wkii", SENTENCE)


@pytest.mark.parametrize("options", [WRONG, {"wiki": "docs", "Wiki": "docs"}, {"wkii": ""}])
def test_an_unknown_option_is_refused_by_name_in_a_change(
    connected: Flask, bearer: Bearer, options: dict[str, str]
) -> None:
    answer = connected.test_client().patch("/api/sources/xwiki", json={"options": options}, headers=bearer("admin"))

    assert (answer.status_code, answer.json["field"]) == (400, f"options.{list(options)[-1]}")


def test_an_unknown_option_is_refused_by_name_in_the_form(
    connected: Flask, as_admin: FlaskClient, behind: Behind
) -> None:
    page = post(as_admin, XWIKI, {**source_form(as_admin.get(XWIKI)), "options.wkii": "docs", "do": "save"})

    assert page.status_code == 422
    assert (
        '<a href="#options.wkii">“wkii” is not a setting of a source for xWiki; it has wiki, terminal.</a>' in page.text
    )
    assert behind.sources.find("xwiki").options == {}


def test_an_integration_without_options_says_so(services: Panel, upstreams: Upstreams) -> None:
    with pytest.raises(InvalidInput, match="for OpenProject; it has no options") as caught:
        services.sources.create(openproject_values(upstreams, options={"wiki": "docs"}), by=ALICE)

    assert caught.value.field == "options.wiki"


def test_options_of_a_source_that_no_integration_uses_are_kept(services: Panel, upstreams: Upstreams) -> None:
    saved = services.sources.create(xwiki_values(upstreams, slug="other", options={"rare": "kept"}), by=ALICE)

    assert saved.source.options == {"rare": "kept"}


@pytest.mark.parametrize(
    ("option", "given", "sentence"),
    [
        (Field("mode", "Mode", required=True), {}, "“options.mode” is missing."),
        (
            Field("mode", "Mode", values=("flat", "nested")),
            {"mode": "deep"},
            "“options.mode” must be one of flat, nested.",
        ),
        (Field("mode", "Mode", max_length=3), {"mode": "deep"}, "“options.mode” is longer than 3 characters."),
    ],
)
def test_a_missing_or_wrong_option_is_refused_by_name(option: Field, given: dict[str, str], sentence: str) -> None:
    descriptor = replace(load_registry().get("xwiki").descriptor, options=(option,))

    with pytest.raises(InvalidInput) as caught:
        check_options(given, descriptor)

    assert (caught.value.field, str(caught.value)) == ("options.mode", sentence)


def test_an_option_with_fixed_values_is_a_list_in_the_form(
    app: Flask, as_admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = app.extensions["leafpanel"].registry.get("xwiki")
    option = Field("mode", "Mode", values=("flat", "nested"))
    monkeypatch.setattr(type(leaf), "descriptor", replace(leaf.descriptor, options=(option,)))

    page = as_admin.get(XWIKI).text

    assert re.search(r'<select[^>]* id="options.mode"', page)
    assert re.findall(r"<option[^>]*>(\w*)</option>", page) == ["", "flat", "nested"]


@pytest.fixture
def invalid(connected: Flask) -> None:
    """The source of the wiki with an option that was stored before options were checked."""
    with connected.app_context():
        source = connected.extensions["leafpanel"].sources.get("xwiki")
        source.options = WRONG
        db.session.commit()


@pytest.mark.usefixtures("invalid")
def test_a_stored_source_with_an_unknown_option_is_invalid_and_says_why(services: Panel) -> None:
    with pytest.raises(ProviderUnavailable, match=re.escape(SENTENCE)) as caught:
        services.resolver.resolve(services.registry.get("xwiki")).ready()

    tested = services.connection_tests.run("xwiki", caller=TESTER)

    assert caught.value.reason is Reason.SOURCE_INVALID
    assert tested.problem is not None
    assert tested.problem.reason is Reason.SOURCE_INVALID


@pytest.mark.usefixtures("invalid")
def test_a_stored_unknown_option_is_shown_and_can_be_removed(
    as_admin: FlaskClient, behind: Behind, bearer: Bearer
) -> None:
    listed = as_admin.get("/admin/sources")
    shown = as_admin.get(XWIKI)
    refused = fill(as_admin, XWIKI, "save")
    removed = post(as_admin, XWIKI, {**source_form(shown), "options.wkii": "", "do": "save"})

    assert (listed.status_code, shown.status_code, refused.status_code) == (200, 200, 422)
    assert source_form(shown)["options.wkii"] == "docs"
    assert removed.status_code == 303
    assert behind.sources.find("xwiki").options == {}


@pytest.mark.usefixtures("invalid")
def test_a_stored_unknown_option_is_read_as_json_and_a_listing_answers_503(connected: Flask, bearer: Bearer) -> None:
    client = connected.test_client()

    read = client.get("/api/sources/xwiki", headers=bearer("admin"))
    listing = client.get("/api/objects/demo/case/1/integrations/xwiki", headers=bearer("read"))

    assert read.json["options"] == WRONG
    assert (listing.status_code, listing.json["details"]["reason"]) == (503, "source-invalid")
    assert "options.wkii" in json.dumps(listing.json, ensure_ascii=False)
