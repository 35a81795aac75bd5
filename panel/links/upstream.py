"""Opens the upstream of an integration, and says on failure for which integration and which pointers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from panel.connector import Caller, Connector, SourceConfig, Upstream
from panel.core.domain import Pointer
from panel.core.errors import ProviderUnavailable, Uncertain
from panel.integrations.contract import Integration
from panel.sources.resolver import ResolvedSource
from panel.storage.engine import db


@contextmanager
def open_upstream(
    connector: Connector,
    leaf: Integration,
    source: ResolvedSource,
    caller: Caller,
    *,
    pointers: Iterable[Pointer] = (),
    fresh: bool = False,
    deadline_s: float | None = None,
) -> Iterator[Upstream]:
    """A conversation with ``source``; ``fresh`` reads past caches, as everything does that leads to a write.

    A ProviderUnavailable or Uncertain from inside gets the integration and ``pointers``. The call log records
    the result for the caller, so that the request's reference is found even when no call was sent.
    """

    def config() -> SourceConfig:
        ready = source.ready()
        # No database connection is held during the calls.
        db.session.commit()
        return ready

    with conversation(
        connector, leaf, config, caller, pointers=pointers, fresh=fresh, deadline_s=deadline_s
    ) as upstream:
        yield upstream


@contextmanager
def conversation(
    connector: Connector,
    leaf: Integration,
    config: Callable[[], SourceConfig],
    caller: Caller,
    *,
    pointers: Iterable[Pointer] = (),
    fresh: bool = False,
    deadline_s: float | None = None,
) -> Iterator[Upstream]:
    """As ``open_upstream``, with a source that was resolved before, so that it works in any thread."""
    try:
        source = config()
        with connector.open(source, caller, classify=leaf.problem_of, fresh=fresh, deadline_s=deadline_s) as upstream:
            yield upstream
    except (ProviderUnavailable, Uncertain) as exc:
        exc.integration, exc.pointers = leaf.id, tuple(pointers)
        if isinstance(exc, ProviderUnavailable):
            connector.journal.note(leaf.id, caller, exc.reason)
        raise
