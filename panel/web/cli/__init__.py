"""The commands of ``flask --app wsgi`` and ``leafpanel``. An error is one sentence on standard error and exit 1."""

from __future__ import annotations

import click

from panel.web.cli.accounts import tokens, users
from panel.web.cli.audit import audit
from panel.web.cli.backup import backup, restore
from panel.web.cli.database import create_database, db
from panel.web.cli.doctor import doctor
from panel.web.cli.embedding import embed_apps, embed_url
from panel.web.cli.keys import connector, keys
from panel.web.cli.mcp import mcp
from panel.web.cli.sources import sources


def install(group: click.Group) -> None:
    commands = (
        db, create_database, backup, restore, sources, users, tokens, keys, embed_apps, connector, audit, doctor, mcp,
        embed_url,
    )  # fmt: skip
    for command in commands:
        group.add_command(command)
