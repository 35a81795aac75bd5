"""The command ``doctor``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask.cli import with_appcontext

from panel.connector import Caller
from panel.core.domain import Problem
from panel.integrations.contract import Integration
from panel.links import open_creates
from panel.storage.engine import STORAGE_FAILURES
from panel.web.cli.output import as_json, friendly_errors, print_json
from panel.web.context import panel
from panel.web.error_bodies import storage_words
from panel.web.reason_words import remedy_of


@click.command()
@as_json
@with_appcontext
@friendly_errors
def doctor(as_json: bool) -> None:
    """Check settings, database and sources, and report problems."""
    findings = _findings()
    if as_json:
        print_json([{"check": check, "ok": ok, "message": message} for check, ok, message in findings])
    else:
        for check, ok, message in findings:
            click.echo(f"{'ok  ' if ok else 'FAIL'}  {check:<12} {message}")
    if not all(ok for _, ok, _ in findings):
        sys.exit(1)


def _findings() -> list[tuple[str, bool, str]]:
    """Name, result and message of each check."""
    config = panel().config
    findings = [_settings(config.instance_dir)]
    if config.proxy_problem:
        findings.append(("proxies", False, config.proxy_problem))
    try:
        known = {source.slug: source for source in panel().sources.all()}
    except STORAGE_FAILURES as exc:
        return [*findings, ("database", False, storage_words(exc))]
    findings.append(("database", True, "Readable and up to date."))
    unknown = open_creates.unknown_count()
    if unknown:
        what = "1 create" if unknown == 1 else f"{unknown} creates"
        findings.append(("creates", False, f"{what} ended without an answer: {config.public_url}/admin/creates"))
    for leaf in panel().registry.all():
        if leaf.id not in known:
            findings.append((leaf.id, False, "There is no source yet."))
            continue
        test = panel().connection_tests.run(leaf.id, caller=Caller("test", "console"))
        message = _failure(test.problem, leaf) if test.problem is not None else test.warning
        findings.append((leaf.id, not message, message or "The source answers."))
    return findings


def _settings(folder: Path) -> tuple[str, bool, str]:
    """Where the instance folder is, and whether other accounts of this machine can read a file in it."""
    open_files = sorted(path.name for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077)
    if open_files:
        return "settings", False, f"Other accounts can read {', '.join(open_files)} in {folder}; set the mode to 0600."
    return "settings", True, f"Instance folder {folder}"


def _failure(problem: Problem, leaf: Integration) -> str:
    return f"{problem.message} {remedy_of(problem, leaf.descriptor.upstream)}"
