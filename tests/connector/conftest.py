"""Servers that misbehave, shared by all tests of the connector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from connectors import serving
from faults import FaultServer


@pytest.fixture(scope="session")
def faults() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def tls_faults(authority: trustme.CA) -> Iterator[FaultServer]:
    """The same misbehaviour behind a certificate for 127.0.0.1 and wiki.test."""
    server = FaultServer(tls=serving(authority.issue_cert("127.0.0.1", "wiki.test")))
    yield server
    server.close()
