"""The command ``leafpanel`` of an installed package: the commands of ``flask --app wsgi``, and ``serve``.

The application is created only when a command needs it, so that ``--help`` creates no instance folder.
"""

from __future__ import annotations

import sys
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup, ScriptInfo, with_appcontext
from flask_alembic.cli import cli as migrations

from panel import __main__ as start
from panel.core.version import VERSION
from panel.storage.engine import alembic
from panel.web import cli
from panel.web.cli.output import friendly_errors


class _Commands(AppGroup):
    def invoke(self, ctx: click.Context) -> Any:
        return friendly_errors(super().invoke)(ctx)


@click.group("leafpanel", cls=_Commands)
@click.version_option(VERSION, prog_name="Leafpanel")
def leafpanel() -> None:
    """Start and administer the panel. Settings are environment variables."""


@leafpanel.command(with_appcontext=False)
def serve() -> None:
    """Migrate the database and start the panel."""
    sys.exit(start.main([]))


@leafpanel.group("db", commands=migrations.commands, help=migrations.help)
@with_appcontext
@click.pass_context
def db(ctx: click.Context) -> None:
    ctx.obj = alembic  # what the commands of Flask-Alembic work on


cli.install(leafpanel)


def _application() -> Flask:
    from panel.wsgi import app

    return app


def main() -> None:
    leafpanel.main(obj=ScriptInfo(create_app=_application))
