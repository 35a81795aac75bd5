"""CA files: read once, again when they change, and named when they cannot be read."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme
from connectors import conversation, problem_of
from faults import FaultServer

from panel.connector.tls import TlsContexts
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason


def test_a_context_checks_names_and_certificates() -> None:
    context = TlsContexts().context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_context_is_kept_until_its_file_changes(tmp_path: Path, authority: trustme.CA) -> None:
    file, trust = tmp_path / "ca.pem", TlsContexts()
    authority.cert_pem.write_to_path(file)

    first, again = trust.context(str(file)), trust.context(str(file))
    trustme.CA().cert_pem.write_to_path(file, append=True)

    assert first is again
    assert trust.context(str(file)) is not first


def test_a_ca_file_replaces_the_bundle(tls_faults: FaultServer, ca_file: str) -> None:
    assert conversation(tls_faults, ca_file=ca_file).get("ok").status == 200
    assert problem_of(lambda: conversation(tls_faults).get("ok")).reason is Reason.TLS


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\x00"])
def test_a_file_that_is_none_is_named_by_its_setting(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ProviderUnavailable) as caught:
        TlsContexts().context(str(file))

    assert caught.value.reason is Reason.SOURCE_INVALID
    assert str(caught.value) == "The file named in ca_file cannot be read as PEM certificates."


@pytest.mark.parametrize("path", ["/", "/proc/self/mem", "a\x00b"])
def test_odd_paths_are_no_files(path: str) -> None:
    with pytest.raises(ProviderUnavailable):
        TlsContexts().context(path)


def test_a_fifo_is_never_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "ca.pem"
    os.mkfifo(fifo)

    assert problem_of(lambda: TlsContexts().context(str(fifo))).field == "ca_file"
