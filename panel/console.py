"""The command ``leafpanel`` of an installed package: the commands of ``flask --app wsgi``, and ``serve``.

The application is created only when a command needs it, so that ``--help`` creates no instance folder.
"""

from __future__ import annotations

import sys

import click
from flask import Flask
from flask.cli import ScriptInfo

from panel import __main__ as start
from panel.core.version import VERSION
from panel.web import cli
from panel.web.cli.database import FriendlyGroup


@click.group("leafpanel", cls=FriendlyGroup)
@click.version_option(VERSION, prog_name="Leafpanel")
def leafpanel() -> None:
    """Start and administer the panel. Settings are environment variables."""


@leafpanel.command(with_appcontext=False)
def serve() -> None:
    """Migrate the database and start the panel."""
    sys.exit(start.main([]))


cli.install(leafpanel)


def _application() -> Flask:
    from panel.wsgi import app

    return app


def main() -> None:
    leafpanel.main(obj=ScriptInfo(create_app=_application))
