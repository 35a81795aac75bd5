"""Reads a response body completely, within a limit on its decoded size (against decompression bombs)."""

from __future__ import annotations

import zlib

from urllib3.response import BaseHTTPResponse

_CHUNK_SIZE = 64 * 1024

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Window bits of zlib: the largest window, and 16 more for gzip; negative for deflate without a header."""

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_MEMBERS = 1000
"""The most gzip members of one body. A body of 5 MB in blocks of 64 KB, as bgzip writes them, has 80."""


class BodyTooLarge(Exception):
    """The body is longer than the limit."""


class MalformedBody(Exception):
    """The body does not match its Content-Encoding."""


def read_body(response: BaseHTTPResponse, *, limit: int) -> bytes:
    """The whole decoded body. Raises BodyTooLarge, MalformedBody, and whatever the connection raises."""
    decoder = _decoder(response.headers.get("Content-Encoding", ""), limit)
    for chunk in response.stream(_CHUNK_SIZE, decode_content=False):
        decoder.feed(chunk)
    return decoder.finish()


def _decoder(header: str, limit: int) -> _Plain:
    """The decoder of a Content-Encoding. Raises MalformedBody for a coding that was not asked for, and for several.

    ``identity`` and empty elements of the list mean no coding.
    """
    codings = [coding for name in header.split(",") if (coding := name.strip().lower()) not in ("", "identity")]
    match codings:
        case []:
            return _Plain(limit)
        case ["gzip" | "x-gzip"]:
            return _Gunzip(limit)
        case ["deflate"]:
            return _Inflate(limit)
    raise MalformedBody


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


class _Unpacking(_Plain):
    """Decodes streams of zlib. Decodes at most one byte past the limit, and detects a truncated stream."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._stream: zlib._Decompress | None = None
        self._held = b""
        """Data that is too short to show what begins here."""

    def feed(self, chunk: bytes) -> None:
        data, self._held = self._held + chunk, b""
        while data:
            stream = self._stream or self._begin(data)
            if stream is None:
                return
            try:
                # One byte more than the limit allows, so that a longer body is noticed.
                super().feed(stream.decompress(data, self.limit - len(self.body) + 1))
            except zlib.error:
                raise MalformedBody from None
            data = stream.unused_data
            self._stream = None if stream.eof else stream

    def _begin(self, data: bytes) -> zlib._Decompress | None:
        """The stream that begins here; None while no more than padding or too little data is there."""
        raise NotImplementedError

    def finish(self) -> bytes:
        if self._stream is not None or self._held:
            raise MalformedBody
        return super().finish()


class _Gunzip(_Unpacking):
    """Decodes gzip members, which zeros may follow: https://www.rfc-editor.org/rfc/rfc1952#section-2.2."""

    _members = 0
    _is_padded = False

    def _begin(self, data: bytes) -> zlib._Decompress | None:
        if self._members and not data.strip(b"\0"):
            self._is_padded = True
            return None
        if data == _GZIP_MAGIC[:1]:
            self._held = data
            return None
        if self._is_padded or not data.startswith(_GZIP_MAGIC) or self._members == _MOST_MEMBERS:
            raise MalformedBody
        self._members += 1
        return zlib.decompressobj(wbits=_GZIP)


class _Inflate(_Unpacking):
    """Decodes deflate with the header of zlib, as the standard says, or without it, as some servers send it.

    https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2
    """

    _has_begun = False

    def _begin(self, data: bytes) -> zlib._Decompress | None:
        if self._has_begun and data.strip(b"\0"):
            raise MalformedBody
        if self._has_begun:
            return None
        if len(data) == 1:
            self._held = data
            return None
        self._has_begun = True
        return zlib.decompressobj(wbits=_ZLIB if _has_zlib_header(data) else _RAW)


def _has_zlib_header(data: bytes) -> bool:
    """https://www.rfc-editor.org/rfc/rfc1950#section-2.2"""
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
