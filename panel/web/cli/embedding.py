"""The commands ``embed-app`` and ``embed-url``."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from panel.accounts.embed_tokens import GRANTABLE, Secret
from panel.core.domain import ObjectRef
from panel.web.cli.actor import console
from panel.web.cli.output import as_json, friendly_errors, print_json
from panel.web.context import panel
from panel.web.object_paths import segment

embed_apps = AppGroup("embed-app", help="Applications that show the tab in an iframe.")


@embed_apps.command("create")
@click.argument("name")
@click.option("--origin", "origins", multiple=True, required=True, help="Origin of its pages; repeatable.")
@click.option("--register", "registers", multiple=True, help="Restrict it to objects of this register; repeatable.")
@click.option("--integration", "leaves", multiple=True, help="Restrict it to this integration; repeatable.")
@as_json
@friendly_errors
def create_embed_app(
    name: str, origins: tuple[str, ...], registers: tuple[str, ...], leaves: tuple[str, ...], as_json: bool
) -> None:
    """Register an application that shows the tab, and print its secret once."""
    created = panel().embed_apps.create(name, origins, registers=registers, integrations=leaves, by=console())
    if not registers:
        click.echo(f"{created.name} can sign tokens for every register. Restrict it with --register.", err=True)
    _print_secret(created, as_json=as_json)


@embed_apps.command("list")
@as_json
@friendly_errors
def list_embed_apps(as_json: bool) -> None:
    """List all embedding applications, without their secrets."""
    apps = panel().embed_apps
    rows: list[dict[str, Any]] = [
        {
            "name": app.name,
            "origins": app.origins,
            "kids": [key.kid for key in apps.keys(app)],
            "on": not app.disabled,
            "registers": app.registers or [],
            "integrations": app.integrations or [],
        }
        for app in apps.all()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        kids, origins = ", ".join(row["kids"]), " ".join(row["origins"])
        registers = ", ".join(row["registers"]) or "every register"
        limits = ", ".join([registers, *row["integrations"]])
        click.echo(f"{row['name']:<20} {'on ' if row['on'] else 'off'} {kids} {origins} ({limits})")
    if not rows:
        click.echo("There is no embedding application yet.")


@embed_apps.command("rotate")
@click.argument("name")
@as_json
@friendly_errors
def rotate_embed_app(name: str, as_json: bool) -> None:
    """Create a second secret, and print it once. The first one stays valid."""
    app = panel().embed_apps.named(name)
    _print_secret(panel().embed_apps.rotate(app, by=console()), as_json=as_json)


@embed_apps.command("retire")
@click.argument("name")
@friendly_errors
def retire_embed_app(name: str) -> None:
    """Retire the older of two secrets."""
    app = panel().embed_apps.named(name)
    panel().embed_apps.retire(app, by=console())
    click.echo(f"The old secret of {app.name} is retired.")


def _print_secret(created: Secret, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"name": created.name, "kid": created.kid, "secret": created.value, "origin": " ".join(created.origins)}
        )
        return
    click.echo(f"kid     {created.kid}")
    click.echo(f"secret  {created.value}")


@click.command("embed-url")
@click.argument("register")
@click.argument("schema")
@click.argument("object_id", metavar="ID")
@click.option("--app", "name", required=True, help="The embedding application that signs.")
@click.option("--can", multiple=True, help=f"Some of {', '.join(GRANTABLE)}; all of them without it.")
@click.option("--sub", default="console", show_default=True, help="Shown as the one who linked, with the application.")
@click.option("--minutes", type=click.IntRange(1, 15), default=15, show_default=True)
@as_json
@with_appcontext
@friendly_errors
def embed_url(
    register: str, schema: str, object_id: str, name: str, can: tuple[str, ...], sub: str, minutes: int, as_json: bool
) -> None:
    """Print an address that opens the tab of an object for some minutes, signed as by the application."""
    apps = panel().embed_apps
    rights = [word for chunk in can for word in chunk.split(",")] or list(GRANTABLE)
    obj = ObjectRef(register, schema, object_id)
    token = apps.sign(apps.named(name), obj, subject=sub, can=rights, seconds=minutes * 60)
    path = "/".join(map(segment, (register, schema, object_id)))
    url = f"{panel().config.public_url}/embed/{path}?token={token}"
    if as_json:
        print_json({"url": url, "token": token, "minutes": minutes})
        return
    click.echo(url)
