"""The commands ``keys`` and ``connector``, which act on all sources."""

from __future__ import annotations

from dataclasses import asdict

import click
from flask.cli import AppGroup, with_appcontext

from panel.credentials.rotation import Rotation, rotate
from panel.storage.engine import db
from panel.web.cli.actor import console
from panel.web.cli.output import as_json, failure, friendly_errors, print_json
from panel.web.context import panel

keys = AppGroup("keys", help="The keys that encrypt credentials.")


@keys.command("rotate")
@as_json
@friendly_errors
def rotate_keys(as_json: bool) -> None:
    """Encrypt every credential with a new key while the panel runs, and retire the old one."""
    done = rotate(db.engine, panel().config, by=console())
    if as_json:
        print_json(asdict(done))
    else:
        _print_rotation(done)
    if done.unreadable:
        raise failure(
            f"No key decrypts the credential of {', '.join(done.unreadable)}: it was not changed, and no key is "
            "retired. Restore its key, or enter the credential again."
        )


def _print_rotation(done: Rotation) -> None:
    count = done.resealed
    click.echo(f"Encrypted {count} credential{'' if count == 1 else 's'} with the key {done.newest}.")
    if done.retired:
        click.echo(f"Retired {', '.join(done.retired)}.")
    if done.removable:
        click.echo(f"Can be removed from PANEL_ENCRYPTION_KEYS: {', '.join(done.removable)}, all but the first.")


@click.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@with_appcontext
@friendly_errors
def connector(state: str) -> None:
    """Switch every outgoing call on or off, in running processes too."""
    if state == "on" and panel().switches.locked_off:
        raise failure("PANEL_CONNECTOR_ENABLED switches the connector off; change that setting first.")
    panel().switches.set_connector(on=state == "on", by=console())
    click.echo(f"The connector is {state}.")
