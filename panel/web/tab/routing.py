"""Registers the views of the tab, and what they share: redirects, and answers while our storage fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import Response, redirect

from panel.core.errors import PanelError
from panel.core.messages import _
from panel.integrations.contract import Integration
from panel.storage.engine import STORAGE_FAILURES, db
from panel.web.failure_log import log_storage_failure
from panel.web.htmx import wants_fragment
from panel.web.storage_words import retry_header
from panel.web.tab.visit import Visit

View = TypeVar("View", bound=Callable[..., Any])

LEAF = "/integrations/<integration>"
NO_LIST = _("The panel's own storage does not answer now, so the list cannot be shown.")


class Views:
    """The views of one module with their methods and rules. Two blueprints register them: ``objects`` and ``embed``."""

    def __init__(self) -> None:
        self.rules: list[tuple[str, str, Callable[..., Any]]] = []

    def get(self, rule: str) -> Callable[[View], View]:
        return self._on("GET", rule)

    def post(self, rule: str) -> Callable[[View], View]:
        return self._on("POST", rule)

    def _on(self, method: str, rule: str) -> Callable[[View], View]:
        def register(view: View) -> View:
            self.rules.append((method, rule, view))
            return view

        return register


def redirects(here: Visit) -> bool:
    """Whether an action ends with a redirect to the list. Not with an embed token, which stays out of URLs."""
    return here.keeps_history and not wants_fragment()


def roll_back(exc: Exception) -> None:
    """Log a storage failure and make the session usable, so that a form can be drawn with what was typed."""
    log_storage_failure(exc)
    db.session.rollback()


def with_wait(response: Response, exc: Exception) -> Response:
    response.headers.update(retry_header(exc))
    return response


@contextmanager
def told_anyway(exc: PanelError) -> Iterator[None]:
    """Raise ``exc`` itself where our storage cannot even be read: what is known of a write counts for more."""
    try:
        yield
    except STORAGE_FAILURES as storage:
        roll_back(storage)
        raise exc from None


def back(here: Visit, leaf: Integration, **values: Any) -> Any:
    return redirect(here.url("listing", integration=leaf.id, **values), 303)
