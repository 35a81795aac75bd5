"""The command ``doctor``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from flask.cli import with_appcontext

from panel.connector import Caller
from panel.core.domain import Problem
from panel.integrations.contract import Integration
from panel.links import open_creates, open_updates
from panel.web.cli.instance_checks import Finding, own_findings
from panel.web.cli.output import as_json, friendly_errors, print_json
from panel.web.context import panel
from panel.web.reason_words import remedy_of


@click.command()
@as_json
@with_appcontext
@friendly_errors
def doctor(as_json: bool) -> None:
    """Check settings, files, database, keys and sources, and report problems."""
    findings = _findings()
    if as_json:
        print_json([{"check": check, "ok": ok, "message": message} for check, ok, message in findings])
    else:
        for check, ok, message in findings:
            click.echo(f"{'ok  ' if ok else 'FAIL'}  {check:<12} {message}")
    if not all(ok for _, ok, _ in findings):
        sys.exit(1)


def _findings() -> list[Finding]:
    """The panel itself, and then its open writes and its sources, if there is a database to read them from."""
    findings = list(own_findings(panel().config))
    if any(check == "database" and not ok for check, ok, _ in findings):
        return findings
    return [*findings, *_open_writes(), *_sources()]


def _open_writes() -> Iterator[Finding]:
    unknown = open_creates.unknown_count()
    if unknown:
        what = "1 create" if unknown == 1 else f"{unknown} creates"
        yield "creates", False, f"{what} ended without an answer: {panel().config.public_url}/admin/creates"
    unrecorded = open_updates.unrecorded_count()
    if unrecorded:
        what = "1 change" if unrecorded == 1 else f"{unrecorded} changes"
        yield "changes", False, f"{what} ended without a record: {panel().config.public_url}/admin/creates#changes"


def _sources() -> Iterator[Finding]:
    known = {source.slug for source in panel().sources.all()}
    for leaf in panel().registry.all():
        if leaf.id not in known:
            yield leaf.id, False, "There is no source yet."
            continue
        test = panel().connection_tests.run(leaf.id, caller=Caller("test", "console"))
        message = _failure(test.problem, leaf) if test.problem is not None else test.warning
        yield leaf.id, not message, message or "The source answers."


def _failure(problem: Problem, leaf: Integration) -> str:
    return f"{problem.message} {remedy_of(problem, leaf.descriptor.upstream)}"
