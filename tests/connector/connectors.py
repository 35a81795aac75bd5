"""Helpers of the connector tests: a connector on loopback, sources, conversations and time limits."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import trustme

from panel.connector import Auth, AuthKind, Caller, Connector, Secret, SourceConfig, Upstream
from panel.connector.resolve import Resolver
from panel.core.domain import Problem
from panel.core.errors import ProviderUnavailable

DEADLINE = 0.5
LATEST = DEADLINE + 0.25 + 1.0
"""The promised limit in seconds, plus 1.0 for a busy machine."""
PATIENT = 10.0
"""Deadline in seconds of calls whose duration does not matter."""
CALLER = Caller("test", "alice", "LP-TEST-01")
BASIC = Auth(AuthKind.BASIC, username="alice", secret=Secret("canary-pass"))
TOKEN = Auth(AuthKind.TOKEN, secret=Secret("canary-token"))
KEY = Auth(AuthKind.TOKEN, header="X-Api-Key", secret=Secret("canary-key"))


def source(root: str, **changes: Any) -> SourceConfig:
    return SourceConfig(**{"id": "1", "slug": "wiki", "name": "Wiki", "root": root, **changes})


def connector(*allowed: str, lookup: Callable[[str, int], Iterable[str]] | None = None, **options: Any) -> Connector:
    """A connector that allows exactly the given entries. ``lookup`` replaces the name service."""
    resolver = Resolver(lookup) if lookup else None
    return Connector(allowed=lambda: allowed, resolver=resolver, **options)


def listed(port: int, *addresses: str) -> list[str]:
    """Entries that open ``wiki.test`` although it is on loopback: its name, and each of its addresses."""
    return [f"{host}:{port}" for host in ("wiki.test", *addresses)]


def conversation(server: Any, *, seconds: float = PATIENT, auth: Auth | None = None, **changes: Any) -> Upstream:
    """A conversation with a server on loopback, which is allowed by its host and port."""
    config = source(server.url, auth=auth or Auth(), **changes)
    return connector(server.host_port).open(config, CALLER, deadline_s=seconds)


def failure_of(work: Callable[[], object]) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as caught:
        work()
    return caught.value


def problem_of(work: Callable[[], object]) -> Problem:
    return failure_of(work).problem


def timed(work: Callable[[], object]) -> tuple[ProviderUnavailable, float]:
    """The failure of ``work`` and the seconds it took."""
    started = time.monotonic()
    failure = failure_of(work)
    return failure, time.monotonic() - started


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A TLS context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
