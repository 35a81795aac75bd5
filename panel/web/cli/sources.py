"""The commands ``source``: list, show, import, export, test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from flask.cli import AppGroup

from panel.connector import Caller
from panel.core.domain import ConnectionTest
from panel.web.api.views import test_json
from panel.web.cli.actor import console
from panel.web.cli.output import as_json, friendly_errors, print_json
from panel.web.context import panel
from panel.web.reason_words import remedy_of

sources = AppGroup("source", help="Sources: list, show, import, export, test.")


@sources.command("list")
@as_json
@friendly_errors
def list_sources(as_json: bool) -> None:
    """List all sources."""
    rows = [panel().sources.values(source) for source in panel().sources.all()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['slug']:<20} {'on ' if row['enabled'] else 'off'} {row['auth']['type']:<8} {row['location']}")
    if not rows:
        click.echo("There is no source yet.")


@sources.command("show")
@click.argument("slug")
@as_json
@friendly_errors
def show_source(slug: str, as_json: bool) -> None:
    """Show one source, without its secret."""
    values = panel().sources.values(panel().sources.get(slug))
    if as_json:
        print_json(values)
        return
    for key, value in values.items():
        click.echo(f"{key:<16} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}")


def _assignments(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter("write it as key=value, such as location=https://wiki.example.org")
        pairs[key] = value
    return pairs


@sources.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", callback=_assignments, help="Override a value of the file."
)
@click.option("--secret-stdin", is_flag=True, help="Read the password, token or client secret from standard input.")
@as_json
@friendly_errors
def import_source(file: Path, sets: dict[str, str], secret_stdin: bool, as_json: bool) -> None:
    """Create or update a source from a YAML file; ${NAME} is taken from the environment.

    A secret in --set is visible in the process list; one in the environment or on standard input is not.
    """
    secret = sys.stdin.readline().rstrip("\r\n") if secret_stdin else None
    saved, notes = panel().sources.import_file(file.read_bytes(), by=console(), sets=sets, secret=secret)
    if as_json:
        print_json({**panel().sources.values(saved.source), "notes": [*notes, *saved.warnings]})
        return
    for line in (*notes, *saved.warnings):
        click.echo(line)
    _, resolved = panel().sources.addresses(saved.source.slug, saved.source.location, saved.source.options)
    click.echo(f"{'Created' if saved.created else 'Updated'} source {saved.source.slug}: {resolved}")


@sources.command("export")
@click.argument("slug")
@friendly_errors
def export_source(slug: str) -> None:
    """Print a source as YAML, with placeholders in place of secrets."""
    click.echo(panel().sources.export(slug), nl=False)


@sources.command("test")
@click.argument("slug")
@click.option("--accept-instance", is_flag=True, help="Accept an instance other than the one of the links.")
@as_json
@friendly_errors
def test_source(slug: str, accept_instance: bool, as_json: bool) -> None:
    """Test the connection to the upstream with the stored credential, step by step."""
    panel().sources.get(slug)
    test = panel().connection_tests.run(slug, caller=Caller("test", "console"))
    other = panel().instances.other_instance(slug) if test.warning else None
    if as_json:
        print_json(test_json(test))
    else:
        _print_test(test)
    if not test.ok:
        sys.exit(1)
    if accept_instance and other is not None:
        panel().connection_tests.accept_instance(slug, other.id, by=console())
        click.echo("The links lead into this instance now.", err=as_json)


def _print_test(test: ConnectionTest) -> None:
    marks = {True: "ok  ", False: "FAIL", None: "-   "}
    remedy = remedy_of(test.problem) if test.problem is not None else ""
    for step in test.steps:
        mark = "WARN" if step.warns else marks[step.ok]
        click.echo(f"{mark}  {step.name:<10} {step.message}", err=step.ok is False)
        if step.ok is False or step.warns:
            click.echo(f"      {'change':<10} {remedy if step.ok is False else step.change}", err=True)
