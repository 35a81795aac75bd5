"""The commands ``backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from panel.credentials import backup as archives
from panel.logs import audit
from panel.logs.audit import AuditAction
from panel.storage.engine import STORAGE_FAILURES, db
from panel.web.cli.actor import console
from panel.web.cli.output import failure, friendly_errors
from panel.web.context import panel
from panel.web.storage_words import storage_text

FILE = click.Path(dir_okay=False, path_type=Path)


def _record(action: AuditAction, file: Path) -> None:
    """Add a line to the database as it is now. A backup or restore that succeeded does not fail for want of it."""
    try:
        audit.record(action, console(), subject=file.name)
        db.session.commit()
    except STORAGE_FAILURES as exc:
        db.session.rollback()
        click.echo(f"The audit trail has no line of this: {storage_text(exc)}", err=True)


@click.command()
@click.argument("file", type=FILE)
@with_appcontext
@friendly_errors
def backup(file: Path) -> None:
    """Write database and keys into one archive, while the panel runs. The archive is secret."""
    unreadable = archives.backup(db.engine, panel().config, file)
    _record(AuditAction.BACKUP_MADE, file)
    click.echo(f"Wrote {file}. It holds the keys of all credentials: keep it secret.")
    if unreadable:
        raise failure(f"No key opens the credential of {', '.join(unreadable)}; everything else can be restored.")


@click.command()
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Replace existing data. It is moved into a folder of its own.")
@with_appcontext
@friendly_errors
def restore(file: Path, replace: bool) -> None:
    """Put the database and the keys of an archive in place. The panel must not run."""
    from panel.storage.migrations import alembic, upgrade  # slow to import

    replaced = archives.restore(db.engine, panel().config, file, alembic.revisions(), replace=replace)
    upgrade()
    _record(AuditAction.BACKUP_RESTORED, file)
    click.echo(f"Restored {file}.")
    if replaced is not None:
        click.echo(f"The replaced files are in {replaced}.")
