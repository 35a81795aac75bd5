"""The commands ``db`` and ``create-database``."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from panel.config import new_marker
from panel.web.cli.output import friendly_errors
from panel.web.context import panel


class FriendlyGroup(AppGroup):
    """A group whose commands, also those of libraries, print expected errors as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        return friendly_errors(super().invoke)(ctx)


class MigrationCommands(FriendlyGroup):
    """The commands of Flask-Alembic, which are imported only when one of them is wanted: Alembic is slow to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from flask_alembic.cli import cli

        return cli.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from flask_alembic.cli import cli

        return cli.get_command(ctx, cmd_name)


@click.group("db", cls=MigrationCommands)
@with_appcontext
@click.pass_context
def db(ctx: click.Context) -> None:
    """Perform database migrations."""
    from panel.storage.migrations import alembic

    ctx.obj = alembic  # what the commands of Flask-Alembic work on


@click.command("create-database")
@with_appcontext
@friendly_errors
def create_database() -> None:
    """Create an empty database beside existing keys, when the old one is meant to be gone."""
    from panel.storage.migrations import upgrade  # slow to import

    new_marker(panel().config.instance_dir).touch(mode=0o600)
    upgrade()
    click.echo("The database is set up.")
