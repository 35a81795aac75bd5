"""Reads a response body completely, within a limit on its decoded size (against decompression bombs)."""

from __future__ import annotations

import zlib

from urllib3.response import BaseHTTPResponse

_CHUNK_SIZE = 64 * 1024


class BodyTooLarge(Exception):
    """The body is longer than the limit."""


class MalformedBody(Exception):
    """The body does not match its Content-Encoding."""


def read_body(response: BaseHTTPResponse, *, limit: int) -> bytes:
    """The whole decoded body. Raises BodyTooLarge, MalformedBody, and whatever the connection raises."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise MalformedBody
    decoder = _Gunzip(limit) if coding.endswith("gzip") else _Plain(limit)
    for chunk in response.stream(_CHUNK_SIZE, decode_content=False):
        decoder.feed(chunk)
    return decoder.finish()


class _Plain:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.body = bytearray()

    def feed(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > self.limit:
            raise BodyTooLarge

    def finish(self) -> bytes:
        return bytes(self.body)


class _Gunzip(_Plain):
    """Decodes one gzip member. Decodes at most one byte past the limit, and detects a truncated stream."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        # 31 is 16 for the gzip format plus 15 for the largest window.
        self._stream = zlib.decompressobj(wbits=31)
        self._started = False

    def feed(self, chunk: bytes) -> None:
        self._started = True
        # One byte more than the limit allows, so that a longer body is noticed.
        try:
            unpacked = self._stream.decompress(chunk, self.limit - len(self.body) + 1)
        except zlib.error:
            raise MalformedBody from None
        super().feed(unpacked)
        # Data after the end of the gzip member.
        if self._stream.unused_data:
            raise MalformedBody

    def finish(self) -> bytes:
        if self._started and not self._stream.eof:
            raise MalformedBody
        return super().finish()
