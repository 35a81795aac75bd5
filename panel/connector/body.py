"""Bodies, read to their end and within a limit on what they unpack to."""

from __future__ import annotations

import zlib

from urllib3.response import BaseHTTPResponse

_STEP = 64 * 1024


class TooLarge(Exception):
    """The body is longer than the limit."""


class Garbled(Exception):
    """The body is not in the form that its headers promise."""


def read_body(response: BaseHTTPResponse, *, limit: int) -> bytes:
    """The whole body, unpacked. Raises TooLarge or Garbled, and whatever the connection raises."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise Garbled
    unpack = _Gunzip(limit) if coding.endswith("gzip") else _Plain(limit)
    for chunk in response.stream(_STEP, decode_content=False):
        unpack.feed(chunk)
    return unpack.finish()


class _Plain:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > self.limit:
            raise TooLarge

    def finish(self) -> bytes:
        return bytes(self.body)


class _Gunzip(_Plain):
    """One gzip member. Never unpacks more than a byte past the limit, and knows a stream that was cut off."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._stream = zlib.decompressobj(wbits=31)
        self._started = False

    def feed(self, chunk: bytes) -> None:
        self._started = True
        try:
            unpacked = self._stream.decompress(chunk, self.limit - len(self.body) + 1)
        except zlib.error:
            raise Garbled from None
        super().feed(unpacked)
        if self._stream.unused_data:
            raise Garbled

    def finish(self) -> bytes:
        if self._started and not self._stream.eof:
            raise Garbled
        return super().finish()
