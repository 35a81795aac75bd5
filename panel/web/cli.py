"""The commands of ``flask --app wsgi``. Errors are one sentence on stderr and exit 1."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from panel.accounts.api_tokens import TokenRequest
from panel.accounts.embed_tokens import GRANTABLE, Secret
from panel.accounts.principal import ROLES, SCOPES, Principal
from panel.config import ConfigError
from panel.connector import Caller
from panel.core.domain import ConnectionTest, ObjectRef
from panel.core.errors import PanelError
from panel.credentials.rotation import Rotation, rotate
from panel.logs import audit_query
from panel.logs.audit import Actor
from panel.logs.audit_query import Wanted
from panel.storage.engine import STORAGE_FAILURES, db
from panel.web.admin.audit import entry_json
from panel.web.api.views import test_json
from panel.web.context import panel
from panel.web.error_bodies import storage_words
from panel.web.export import json_lines

F = TypeVar("F", bound=Callable[..., Any])

sources = AppGroup("source", help="Sources: list, show, import, export, test.")
users = AppGroup("user", help="People who sign in.")
tokens = AppGroup("token", help="API tokens for scripts and agents.")
keys = AppGroup("keys", help="The keys that encrypt credentials.")
embed_apps = AppGroup("embed-app", help="Applications that show the tab in a frame.")

as_json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")


def install(app: Flask) -> None:
    for group in (sources, users, tokens, keys, embed_apps, connector):
        app.cli.add_command(group)
    app.cli.add_command(audit)
    app.cli.add_command(doctor)
    app.cli.add_command(mcp)
    app.cli.add_command(embed_url)


def friendly_errors(command: F) -> F:
    """Turn what can go wrong into one sentence and exit 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (PanelError, ConfigError) as exc:
            raise SystemExit(_say(str(exc))) from None
        except STORAGE_FAILURES as exc:
            raise SystemExit(_say(storage_words(exc))) from None

    return run  # type: ignore[return-value]


def _say(sentence: str) -> int:
    click.echo(sentence, err=True)
    return 1


def console() -> Actor:
    """Whoever types a command, for the audit trail."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        # In a container the number of an account may have no name.
        account = str(os.getuid())
    return Actor("console", f"local:{account}", "console")


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


# --- sources ---------------------------------------------------------------------------------------------------------


@sources.command("list")
@as_json
@friendly_errors
def list_sources(as_json: bool) -> None:
    """All sources."""
    rows = [panel().sources.values(source) for source in panel().sources.all()]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['slug']:<20} {'on ' if row['enabled'] else 'off'} {row['auth']['type']:<8} {row['location']}")
    if not rows:
        click.echo("There is no source yet.")


@sources.command("show")
@click.argument("slug")
@as_json
@friendly_errors
def show_source(slug: str, as_json: bool) -> None:
    """One source, without its secret."""
    values = panel().sources.values(panel().sources.get(slug))
    if as_json:
        _print_json(values)
        return
    for key, value in values.items():
        click.echo(f"{key:<16} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}")


def _assignments(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter("write it as key=value, such as location=https://wiki.example.org")
        pairs[key] = value
    return pairs


@sources.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", callback=_assignments, help="Lay a value over the file."
)
@as_json
@friendly_errors
def import_source(file: Path, sets: dict[str, str], as_json: bool) -> None:
    """Create or update a source from a YAML file; ${NAME} is taken from the environment."""
    saved, notes = panel().sources.import_file(file.read_bytes(), by=console(), sets=sets)
    if as_json:
        _print_json({**panel().sources.values(saved.source), "notes": [*notes, *saved.warnings]})
        return
    for line in (*notes, *saved.warnings):
        click.echo(line)
    _, resolved = panel().sources.addresses(saved.source.slug, saved.source.location, saved.source.options)
    click.echo(f"{'Created' if saved.created else 'Updated'} source {saved.source.slug}: {resolved}")


@sources.command("export")
@click.argument("slug")
@friendly_errors
def export_source(slug: str) -> None:
    """A source as YAML, with placeholders in place of secrets."""
    click.echo(panel().sources.export(slug), nl=False)


@sources.command("test")
@click.argument("slug")
@click.option("--accept-instance", is_flag=True, help="Say that another instance than the links' is meant.")
@as_json
@friendly_errors
def test_source(slug: str, accept_instance: bool, as_json: bool) -> None:
    """Ask the real upstream with the stored credential, step by step."""
    panel().sources.get(slug)
    test = panel().connection_tests.run(slug, caller=Caller("test", "console"))
    other = panel().instances.other_instance(slug) if test.warning else None
    if as_json:
        _print_json(test_json(test))
    else:
        _print_test(test)
    if not test.ok:
        sys.exit(1)
    if accept_instance and other is not None:
        panel().connection_tests.accept_instance(slug, other.id, by=console())
        click.echo("The links lead into this instance now.", err=as_json)


def _print_test(test: ConnectionTest) -> None:
    marks = {True: "ok  ", False: "FAIL", None: "-   "}
    for step in test.steps:
        mark = "WARN" if step.warns else marks[step.ok]
        click.echo(f"{mark}  {step.name:<10} {step.message}", err=step.ok is False)
        if (step.ok is False or step.warns) and step.change:
            click.echo(f"      {'change':<10} {step.change}", err=True)


# --- people and tokens -----------------------------------------------------------------------------------------------


@users.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="Short for --role admin.")
@click.option("--role", type=click.Choice([*ROLES]), default="editor", show_default=True)
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
@friendly_errors
def create_user(name: str, admin: bool, role: str, password_stdin: bool) -> None:
    """Add a person. The password comes from standard input, so that no process list shows it."""
    password = sys.stdin.readline().rstrip("\r\n")
    user = panel().people.create(name, password, role="admin" if admin else role, by=console())
    click.echo(f"Created {user.name} ({user.role}).")


@users.command("list")
@as_json
@friendly_errors
def list_users(as_json: bool) -> None:
    """All people who sign in."""
    rows = [{"name": user.name, "role": user.role, "on": not user.disabled} for user in panel().people.all()]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']:<20} {'on ' if row['on'] else 'off'} {row['role']}")


@users.command("reset")
@click.argument("name")
@as_json
@friendly_errors
def reset_user(name: str, as_json: bool) -> None:
    """Give somebody a one-time password, print it once, and end their sessions."""
    user = panel().people.named(name)
    password = panel().people.reset(user, by=console())
    if as_json:
        _print_json({"name": user.name, "password": password})
        return
    click.echo(password)


@users.command("switch")
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]))
@friendly_errors
def switch_user(name: str, state: str) -> None:
    """Keep somebody out (off), or let them in again (on)."""
    user = panel().people.named(name)
    panel().people.switch(user, on=state == "on", by=console())
    click.echo(f"{user.name} may sign in." if state == "on" else f"{user.name} is kept out.")


@tokens.command("create")
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "write", "admin"]), required=True)
@click.option("--days", type=int, help="Days until it ends; it lasts until it is revoked unless given.")
@click.option("--register", "registers", multiple=True, help="Limit it to objects of this register; more than one may.")
@click.option("--integration", "leaves", multiple=True, help="Limit it to this integration; more than one may.")
@as_json
@friendly_errors
def create_token(
    name: str, scope: str, days: int | None, registers: tuple[str, ...], leaves: tuple[str, ...], as_json: bool
) -> None:
    """Make an API token and print it once."""
    token = panel().access.create_token(TokenRequest(name, scope, days, registers, leaves), by=console())
    if as_json:
        _print_json({"token": token})
        return
    click.echo(token)


# --- embedding -------------------------------------------------------------------------------------------------------


@embed_apps.command("create")
@click.argument("name")
@click.option("--origin", "origins", multiple=True, required=True, help="Where its pages come from; more than one may.")
@as_json
@friendly_errors
def create_embed_app(name: str, origins: tuple[str, ...], as_json: bool) -> None:
    """Let an application show the tab, and print its secret once."""
    _print_secret(panel().embed_apps.create(name, origins, by=console()), as_json=as_json)


@embed_apps.command("list")
@as_json
@friendly_errors
def list_embed_apps(as_json: bool) -> None:
    """All embedding applications, without their secrets."""
    apps = panel().embed_apps
    rows: list[dict[str, Any]] = [
        {"name": app.name, "origins": app.origins, "kids": [key.kid for key in apps.keys(app)], "on": not app.disabled}
        for app in apps.all()
    ]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        kids, origins = ", ".join(row["kids"]), " ".join(row["origins"])
        click.echo(f"{row['name']:<20} {'on ' if row['on'] else 'off'} {kids} {origins}")
    if not rows:
        click.echo("There is no embedding application yet.")


@embed_apps.command("rotate")
@click.argument("name")
@as_json
@friendly_errors
def rotate_embed_app(name: str, as_json: bool) -> None:
    """Make a second secret beside the first, and print it once."""
    app = panel().embed_apps.named(name)
    _print_secret(panel().embed_apps.rotate(app, by=console()), as_json=as_json)


@embed_apps.command("retire")
@click.argument("name")
@friendly_errors
def retire_embed_app(name: str) -> None:
    """End the older of two secrets."""
    app = panel().embed_apps.named(name)
    panel().embed_apps.retire(app, by=console())
    click.echo(f"The older secret of {app.name} is retired.")


def _print_secret(made: Secret, *, as_json: bool) -> None:
    if as_json:
        _print_json({"name": made.name, "kid": made.kid, "secret": made.value, "origin": " ".join(made.origins)})
        return
    click.echo(f"kid     {made.kid}")
    click.echo(f"secret  {made.value}")


@click.command("embed-url")
@click.argument("register")
@click.argument("schema")
@click.argument("object_id", metavar="ID")
@click.option("--app", "name", required=True, help="The embedding application that signs.")
@click.option("--can", multiple=True, help=f"Some of {', '.join(GRANTABLE)}; all of them unless given.")
@click.option("--sub", default="console", show_default=True, help="Shown as the one who linked.")
@click.option("--minutes", type=click.IntRange(1, 15), default=15, show_default=True)
@as_json
@with_appcontext
@friendly_errors
def embed_url(
    register: str, schema: str, object_id: str, name: str, can: tuple[str, ...], sub: str, minutes: int, as_json: bool
) -> None:
    """An address that opens the tab of an object for some minutes, as the application would sign it."""
    apps = panel().embed_apps
    rights = [word for chunk in can for word in chunk.split(",")] or list(GRANTABLE)
    obj = ObjectRef(register, schema, object_id)
    token = apps.sign(apps.named(name), obj, subject=sub, can=rights, seconds=minutes * 60)
    path = "/".join(quote(part, safe="") for part in (register, schema, object_id))
    url = f"{panel().config.public_url}/embed/{path}?token={token}"
    if as_json:
        _print_json({"url": url, "token": token, "minutes": minutes})
        return
    click.echo(url)


# --- keys ------------------------------------------------------------------------------------------------------------


@keys.command("rotate")
@as_json
@friendly_errors
def rotate_keys(as_json: bool) -> None:
    """Encrypt every credential with a new key while the panel runs, and retire the old one."""
    done = rotate(db.engine, panel().config, by=console())
    if as_json:
        _print_json(asdict(done))
    else:
        _print_rotation(done)
    if done.unreadable:
        raise SystemExit(
            _say(
                f"No key opens the credential of {', '.join(done.unreadable)}: it was left as it is, and no key is "
                "retired. Put its key back, or type the credential again."
            )
        )


def _print_rotation(done: Rotation) -> None:
    count = done.sealed_anew
    click.echo(f"Encrypted {count} credential{'' if count == 1 else 's'} with the key {done.newest}.")
    if done.retired:
        click.echo(f"Retired {', '.join(done.retired)}.")
    if done.removable:
        click.echo(f"May be removed from PANEL_ENCRYPTION_KEYS: {', '.join(done.removable)}, all but the first.")


# --- connector, doctor -----------------------------------------------------------------------------------------------


@click.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@with_appcontext
@friendly_errors
def connector(state: str) -> None:
    """Switch every outgoing call on or off, in running processes too."""
    if state == "on" and panel().switches.locked_off:
        raise SystemExit(_say("PANEL_CONNECTOR_ENABLED switches the connector off; change that setting first."))
    panel().switches.set_connector(on=state == "on", by=console())
    click.echo(f"The connector is {state}.")


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A day or moment of local time.")
@as_json
@with_appcontext
@friendly_errors
def audit(since: datetime | None, as_json: bool) -> None:
    """The audit trail, newest line first."""
    entries = audit_query.every_line(Wanted(since=since.astimezone() if since is not None else None))
    if as_json:
        for chunk in json_lines(map(entry_json, entries)):
            click.echo(chunk, nl=False)
        return
    for entry in entries:
        place = "/".join(filter(None, (entry.register, entry.schema, entry.object_id)))
        what = (entry.integration if entry.integration != entry.subject else "", entry.subject, entry.detail, place)
        moment = entry.at.astimezone().isoformat(" ", "seconds")
        words = " ".join(filter(None, (*what, entry.request_id)))
        told = f"{moment}  {entry.who:<20} {entry.face:<8} {entry.deed:<18} {words}"
        # Names come from outside; none of them talks to the terminal.
        click.echo("".join(letter if letter.isprintable() else "?" for letter in told))


@click.command()
@click.option("--scope", type=click.Choice(["read", "write"]), default="read", show_default=True)
@click.option("--name", default="local agent", show_default=True, help="Shown as the one who linked.")
@with_appcontext
@friendly_errors
def mcp(scope: str, name: str) -> None:
    """Serve one AI agent over standard input and output."""
    from panel.web.mcp.server import serve_stdio

    serve_stdio(current_app._get_current_object(), Principal(name, "local", SCOPES[scope]))  # type: ignore[attr-defined]


@click.command()
@as_json
@with_appcontext
@friendly_errors
def doctor(as_json: bool) -> None:
    """Look at settings, database and sources, and say what is wrong."""
    findings = _findings()
    if as_json:
        _print_json([{"check": check, "ok": ok, "message": message} for check, ok, message in findings])
    else:
        for check, ok, message in findings:
            click.echo(f"{'ok  ' if ok else 'FAIL'}  {check:<12} {message}")
    if not all(ok for _, ok, _ in findings):
        sys.exit(1)


def _findings() -> list[tuple[str, bool, str]]:
    config = panel().config
    findings = [("settings", True, f"Instance folder {config.instance_dir}")]
    try:
        known = {source.slug: source for source in panel().sources.all()}
    except STORAGE_FAILURES as exc:
        return [*findings, ("database", False, storage_words(exc))]
    findings.append(("database", True, "Readable and up to date."))
    for leaf in panel().registry.all():
        if leaf.id not in known:
            findings.append((leaf.id, False, "There is no source yet."))
            continue
        test = panel().connection_tests.run(leaf.id, caller=Caller("test", "console"))
        said = test.problem.message if test.problem else test.warning
        findings.append((leaf.id, not said, said or "The source answers."))
    return findings
