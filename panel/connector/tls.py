"""Whose certificates count: the CA bundle, or a source's own CA file. There is no switch that turns checking off."""

from __future__ import annotations

import os
import ssl
import threading

import certifi

from panel.connector.sockets import TlsSocket
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason


class TlsContexts:
    """TLS contexts, kept per CA file until that file changes."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[tuple[int, int], ssl.SSLContext]] = {}
        self._lock = threading.Lock()

    def context(self, ca_file: str = "") -> ssl.SSLContext:
        """Raises ProviderUnavailable (source-invalid) naming ``ca_file`` when that is no readable bundle."""
        path = ca_file or certifi.where()
        try:
            state = os.stat(path)
            with self._lock:
                return self._fresh(path, (state.st_mtime_ns, state.st_size))
        except (OSError, ValueError):
            # One sentence for all of it, so that the setting does not tell which files exist on the server.
            message = "The file named in ca_file cannot be read as PEM certificates."
            raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="ca_file") from None

    def _fresh(self, path: str, state: tuple[int, int]) -> ssl.SSLContext:
        known = self._contexts.get(path)
        if known is None or known[0] != state:
            known = self._contexts[path] = (state, _context(path))
        return known[1]


def _context(path: str) -> ssl.SSLContext:
    # Built by hand: create_default_context would also write session keys wherever SSLKEYLOGFILE points.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = TlsSocket
    return context
