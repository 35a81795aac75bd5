"""The commands ``user`` and ``token``."""

from __future__ import annotations

import sys

import click
from flask.cli import AppGroup

from panel.accounts.api_tokens import TokenRequest
from panel.accounts.principal import ROLES
from panel.web.access_left import access_left
from panel.web.cli.actor import console
from panel.web.cli.output import as_json, friendly_errors, print_json
from panel.web.context import panel

users = AppGroup("user", help="Users who sign in.")
tokens = AppGroup("token", help="API tokens for scripts and agents.")


@users.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="The same as --role admin.")
@click.option("--role", type=click.Choice([*ROLES]), default="editor", show_default=True)
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
@friendly_errors
def create_user(name: str, admin: bool, role: str, password_stdin: bool) -> None:
    """Create a user. The password is read from standard input, so that no process list shows it."""
    password = sys.stdin.readline().rstrip("\r\n")
    user = panel().people.create(name, password, role="admin" if admin else role, by=console())
    click.echo(f"Created {user.name} ({user.role}).")


@users.command("list")
@as_json
@friendly_errors
def list_users(as_json: bool) -> None:
    """List all users."""
    rows = [{"name": user.name, "role": user.role, "on": not user.disabled} for user in panel().people.all()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']:<20} {'on ' if row['on'] else 'off'} {row['role']}")


@users.command("reset")
@click.argument("name")
@as_json
@friendly_errors
def reset_user(name: str, as_json: bool) -> None:
    """Replace a password with a one-time password, print it once, and end all sessions of the user."""
    user = panel().people.named(name)
    password = panel().people.reset(user, by=console())
    if as_json:
        print_json({"name": user.name, "password": password})
        return
    click.echo(password)


@users.command("switch")
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]))
@friendly_errors
def switch_user(name: str, state: str) -> None:
    """Disable a user (off) or enable a user (on)."""
    user = panel().people.named(name)
    panel().people.switch(user, on=state == "on", by=console())
    click.echo(f"{user.name} is enabled." if state == "on" else f"{user.name} is disabled.")
    if state == "off" and (still_valid := access_left(user.name)):
        click.echo(f"Created by {user.name} and still valid: {still_valid}.")


@tokens.command("create")
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "write", "admin"]), required=True)
@click.option("--days", type=int, help="Days until it expires; without it, the token is valid until it is revoked.")
@click.option("--register", "registers", multiple=True, help="Restrict it to objects of this register; repeatable.")
@click.option("--integration", "leaves", multiple=True, help="Restrict it to this integration; repeatable.")
@as_json
@friendly_errors
def create_token(
    name: str, scope: str, days: int | None, registers: tuple[str, ...], leaves: tuple[str, ...], as_json: bool
) -> None:
    """Create an API token and print it once."""
    token = panel().api_tokens.create_token(TokenRequest(name, scope, days, registers, leaves), by=console())
    if as_json:
        print_json({"token": token})
        return
    click.echo(token)
