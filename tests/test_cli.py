from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from support import MakeApp, Upstreams, signs_in

from panel.config import PROJECT_ROOT, new_encryption_key
from panel.services import Panel

TEMPLATES = Path(__file__).parent.parent / "docs" / "templates"


def run(app: Flask, *words: str, stdin: str = "") -> Result:
    return app.test_cli_runner().invoke(args=list(words), input=stdin)


def import_wiki(app: Flask, upstreams: Upstreams, *more: str) -> Result:
    template = str(TEMPLATES / "xwiki-openconnector-source.yaml")
    sets = [f"location={upstreams.xwiki_url}", "auth.username=alice", "auth.password=secret"]
    return run(app, "source", "import", template, *[word for value in sets for word in ("--set", value)], *more)


def test_imports_the_template_with_values_and_tests_it(app: Flask, upstreams: Upstreams) -> None:
    imported = import_wiki(app, upstreams)
    tested = run(app, "source", "test", "xwiki", "--json")

    assert imported.exit_code == 0, imported.output
    assert "secret" not in imported.output
    assert json.loads(tested.stdout)["ok"] is True


def test_a_failing_rung_is_exit_1_and_named(app: Flask, upstreams: Upstreams) -> None:
    import_wiki(app, upstreams, "--set", "auth.password=WRONG")

    tested = run(app, "source", "test", "xwiki", "--json")

    found = json.loads(tested.stdout)
    assert tested.exit_code == 1
    assert (found["ok"], found["cause"], found["reason"]) == (False, "provider-auth", "credentials-rejected")


def test_shows_lists_and_exports_without_the_secret(app: Flask, upstreams: Upstreams) -> None:
    import_wiki(app, upstreams, "--set", "auth.password=canary-77aa")

    for words in (
        ["source", "list"],
        ["source", "show", "xwiki"],
        ["source", "show", "xwiki", "--json"],
        ["source", "export", "xwiki"],
    ):
        result = run(app, *words)
        assert (result.exit_code, "canary-77aa" in result.output) == (0, False)


@pytest.mark.parametrize(
    "words",
    [
        ["source", "show", "nowhere"],
        ["source", "test", "nowhere"],
        ["source", "export", "nowhere"],
        ["source", "import", str(TEMPLATES / "xwiki-openconnector-source.yaml")],
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_exit_1(app: Flask, words: list[str]) -> None:
    result = run(app, *words)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1


def test_makes_people_and_tokens(app: Flask) -> None:
    person = run(app, "user", "create", "carol", "--admin", "--password-stdin", stdin="correct horse\n")
    token = run(app, "token", "create", "script", "--scope", "read", "--json")

    assert person.exit_code == 0
    with app.app_context():
        services = app.extensions["leafpanel"]
        assert signs_in(services, "carol", "correct horse")
        assert services.api_tokens.by_token(json.loads(token.stdout)["token"]) is not None


def test_a_short_password_is_one_sentence(app: Flask) -> None:
    result = run(app, "user", "create", "carol", "--password-stdin", stdin="short\n")

    assert (result.exit_code, "at least 8 characters" in result.stderr) == (1, True)


def test_switches_the_connector_off_and_on(app: Flask) -> None:
    run(app, "connector", "off")
    with app.app_context():
        assert not app.extensions["leafpanel"].switches.connector_on()

    run(app, "connector", "on")
    with app.app_context():
        assert app.extensions["leafpanel"].switches.connector_on()


@pytest.mark.parametrize("secret", ["secret\n", "secret\r\n", "secret"])
def test_import_reads_the_secret_from_standard_input(app: Flask, upstreams: Upstreams, secret: str) -> None:
    template = str(PROJECT_ROOT / "docs" / "templates" / "xwiki-openconnector-source.yaml")
    sets = [f"--set=location={upstreams.xwiki_url}", "--set=auth.username=alice"]

    made = app.test_cli_runner().invoke(args=["source", "import", template, *sets, "--secret-stdin"], input=secret)

    assert made.exit_code == 0, made.output
    assert run(app, "source", "test", "xwiki").exit_code == 0


def test_a_source_without_sign_in_has_no_secret_to_read(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "wiki.yaml"
    file.write_text("source: {reference: wiki, location: 'https://wiki.example', auth: {type: none}}")

    refused = app.test_cli_runner().invoke(args=["source", "import", str(file), "--secret-stdin"], input="x\n")

    assert (refused.exit_code, refused.stderr.strip()) == (1, "The source does not sign in, so that it has no secret.")


def test_doctor_names_a_file_that_others_can_read(app: Flask) -> None:
    folder = app.extensions["leafpanel"].config.instance_dir
    (folder / "panel.sqlite3").chmod(0o644)

    (row,) = [row for row in json.loads(run(app, "doctor", "--json").stdout) if row["check"] == "files"]

    assert not row["ok"]
    assert "Other accounts can read panel.sqlite3" in row["message"]


def test_doctor_says_what_is_missing(app: Flask, upstreams: Upstreams) -> None:
    import_wiki(app, upstreams)

    found = {row["check"]: row["ok"] for row in json.loads(run(app, "doctor", "--json").stdout)}

    own = dict.fromkeys(("settings", "address", "files", "database", "keys"), True)
    assert found == {**own, "xwiki": True, "openproject": False}


def doctor(app: Flask) -> dict[str, str]:
    """The messages of the checks that fail."""
    return {row["check"]: row["message"] for row in json.loads(run(app, "doctor", "--json").stdout) if not row["ok"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"PANEL_HOST": "0.0.0.0", "PANEL_PUBLIC_URL": "http://127.0.0.1:8000"},
            "The panel listens on 0.0.0.0; set PANEL_PUBLIC_URL to the address that browsers use.",
        ),
        (
            {"PANEL_PUBLIC_URL": "http://panel.example.org"},
            "http://panel.example.org is plain http: passwords travel unencrypted.",
        ),
    ],
    ids=["local address", "plain http"],
)
def test_doctor_compares_the_address_with_the_host(make_app: MakeApp, settings: dict[str, str], message: str) -> None:
    assert doctor(make_app(**settings))["address"] == message


def test_doctor_hints_at_the_number_of_proxies(make_app: MakeApp) -> None:
    app = make_app(PANEL_PUBLIC_URL="https://panel.example.org")

    assert "set PANEL_TRUSTED_PROXIES" in run(app, "doctor").output


def test_doctor_names_misspelt_settings(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANEL_DATABSE_URL", "sqlite:///x")

    assert doctor(app)["settings"] == "PANEL_DATABSE_URL is no setting; PANEL_DATABASE_URL is."


def test_doctor_finds_an_open_folder(app: Flask, services: Panel) -> None:
    services.config.instance_dir.chmod(0o755)

    assert doctor(app)["files"].endswith("may be read by others; set its mode to 0700.")


def test_doctor_finds_credentials_that_no_key_opens(app: Flask, upstreams: Upstreams) -> None:
    import_wiki(app, upstreams)
    with app.app_context():
        file: Path = app.extensions["leafpanel"].config.keys_file
    file.write_text(new_encryption_key())

    assert doctor(app)["keys"] == "No key opens the credential of xwiki. Restore its key, or enter it again."


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE alembic_version SET version_num = '9999_future'",
            "This database is of a newer Leafpanel (schema 9999_future).",
        ),
        (
            "UPDATE alembic_version SET version_num = '0001'",
            "The database is of an older Leafpanel. Run: flask --app wsgi db upgrade",
        ),
        ("DROP TABLE alembic_version", "The database is not set up. Run: flask --app wsgi db upgrade"),
    ],
    ids=["newer", "older", "not set up"],
)
def test_doctor_compares_the_schema(app: Flask, statement: str, message: str) -> None:
    from panel.storage.engine import db

    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql(statement)

    found = doctor(app)

    assert list(found) == ["database"]
    assert found["database"].startswith(message)


def test_doctor_finds_a_redis_that_does_not_answer(make_app: MakeApp) -> None:
    app = make_app(PANEL_REDIS_URL="redis://127.0.0.1:1/0")

    assert doctor(app)["redis"] == "Redis does not answer (ConnectionError)."


def test_doctor_finds_damage(app: Flask, services: Panel) -> None:
    from panel.storage.engine import db

    with app.app_context():
        db.engine.dispose()
    (services.config.instance_dir / "panel.sqlite3").write_bytes(b"no database " * 1000)

    assert doctor(app)["database"].endswith("is damaged. Restore a backup.")


def test_an_empty_database_is_said_plainly(app: Flask) -> None:
    from panel.storage.engine import Model, db

    with app.app_context():
        Model.metadata.drop_all(db.engine)

    result = run(app, "source", "list")

    assert (result.exit_code, result.stderr.strip()) == (
        1,
        "The database is not set up. Run: flask --app wsgi db upgrade",
    )


def test_doctor_says_that_no_proxy_is_trusted_behind_an_https_address(make_app: MakeApp) -> None:
    def row(**settings: str) -> list[str]:
        shown = run(make_app(PANEL_PUBLIC_URL="https://panel.example", **settings), "doctor").stdout
        return [line for line in shown.splitlines() if "proxies" in line]

    assert row()[0].startswith("FAIL  proxies      PANEL_PUBLIC_URL is https and PANEL_TRUSTED_PROXIES is 0")
    assert row(PANEL_TRUSTED_PROXIES="1") == []
