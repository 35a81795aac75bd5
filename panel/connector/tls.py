"""TLS contexts, which verify certificates against certifi's bundle or a source's CA file. Nothing turns this off."""

from __future__ import annotations

import os
import ssl
import stat
import threading

import certifi

from panel.connector.sockets import TlsSocket
from panel.core.errors import ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason


class TlsContexts:
    """Caches one TLS context per CA file until the file changes."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[tuple[int, int], ssl.SSLContext]] = {}
        self._lock = threading.Lock()

    def context(self, ca_file: str = "") -> ssl.SSLContext:
        """The context for ``ca_file``, or for the default bundle.

        Raises ProviderUnavailable (source-invalid) naming ``ca_file`` when that is no readable bundle.
        """
        path = ca_file or certifi.where()
        try:
            state = os.stat(path)
            # Opening a FIFO would block the process, beyond every deadline.
            if not stat.S_ISREG(state.st_mode):
                raise ValueError("not a regular file")
            with self._lock:
                return self._fresh(path, (state.st_mtime_ns, state.st_size))
        except (OSError, ValueError):
            # The same message for every failure, so that the setting does not reveal which files exist on the server.
            message = _("The file named in ca_file cannot be read as PEM certificates.")
            raise ProviderUnavailable.because(Reason.SOURCE_INVALID, message, field="ca_file") from None

    def _fresh(self, path: str, state: tuple[int, int]) -> ssl.SSLContext:
        cached = self._contexts.get(path)
        if cached is None or cached[0] != state:
            cached = self._contexts[path] = (state, _context(path))
        return cached[1]


def _context(path: str) -> ssl.SSLContext:
    # create_default_context is not used, because it writes session keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    # http.client cannot speak HTTP/2.
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = TlsSocket
    return context
