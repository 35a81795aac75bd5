"""What all commands share: the option ``--json``, JSON output, and errors as one sentence with exit 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from panel.config import ConfigError
from panel.core.errors import PanelError
from panel.storage.engine import STORAGE_FAILURES
from panel.web.storage_words import storage_words

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")


def friendly_errors(command: F) -> F:
    """Print expected errors as one sentence on standard error and exit with 1, without a traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (PanelError, ConfigError) as exc:
            raise failure(str(exc)) from None
        except STORAGE_FAILURES as exc:
            raise failure(storage_words(exc)) from None

    return run  # type: ignore[return-value]


def failure(message: str) -> SystemExit:
    """Print the message on standard error; the returned exception exits with 1."""
    click.echo(message, err=True)
    return SystemExit(1)


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
