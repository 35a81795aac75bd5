"""The command ``mcp``."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from panel.accounts.principal import SCOPES, Principal
from panel.web.cli.output import friendly_errors


@click.command()
@click.option("--scope", type=click.Choice(["read", "write"]), default="read", show_default=True)
@click.option("--name", default="local agent", show_default=True, help="Shown as the one who linked.")
@with_appcontext
@friendly_errors
def mcp(scope: str, name: str) -> None:
    """Serve one AI agent over standard input and output."""
    from panel.web.mcp.server import serve_stdio

    serve_stdio(current_app._get_current_object(), Principal(name, "local", SCOPES[scope]))  # type: ignore[attr-defined]
