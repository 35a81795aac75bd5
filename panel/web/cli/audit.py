"""The command ``audit``."""

from __future__ import annotations

from datetime import datetime

import click
from flask.cli import with_appcontext

from panel.logs import audit_query
from panel.logs.audit_query import AuditFilter
from panel.web.admin.audit import entry_json
from panel.web.cli.output import as_json, friendly_errors
from panel.web.export import json_lines


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A day or a local time.")
@as_json
@with_appcontext
@friendly_errors
def audit(since: datetime | None, as_json: bool) -> None:
    """Print the audit trail, newest line first."""
    entries = audit_query.every_line(AuditFilter(since=since.astimezone() if since is not None else None))
    if as_json:
        for chunk in json_lines(map(entry_json, entries)):
            click.echo(chunk, nl=False)
        return
    for entry in entries:
        obj = "/".join(filter(None, (entry.register, entry.schema, entry.object_id)))
        integration = entry.integration if entry.integration != entry.subject else ""
        facts = " ".join(filter(None, (integration, entry.subject, entry.detail, obj, entry.request_id)))
        time = entry.at.astimezone().isoformat(" ", "seconds")
        line = f"{time}  {entry.who:<20} {entry.face:<8} {entry.deed:<18} {facts}"
        # Names come from outside: control characters must not reach the terminal.
        click.echo("".join(character if character.isprintable() else "?" for character in line))
