"""The commands ``db`` and ``create-database``."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup, with_appcontext
from flask_alembic.cli import cli as migrations

from panel.config import new_marker
from panel.storage.engine import alembic, upgrade
from panel.web.cli.output import friendly_errors
from panel.web.context import panel


class FriendlyGroup(AppGroup):
    """A group whose commands, also those of libraries, print expected errors as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        return friendly_errors(super().invoke)(ctx)


@click.group("db", cls=FriendlyGroup, commands=dict(migrations.commands), help=migrations.help)
@with_appcontext
@click.pass_context
def db(ctx: click.Context) -> None:
    ctx.obj = alembic  # what the commands of Flask-Alembic work on


@click.command("create-database")
@with_appcontext
@friendly_errors
def create_database() -> None:
    """Create an empty database beside existing keys, when the old one is meant to be gone."""
    new_marker(panel().config.instance_dir).touch(mode=0o600)
    upgrade()
    click.echo("The database is set up.")
