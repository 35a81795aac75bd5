"""Secrets that are recognised wherever they turn up, in whatever dress."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

MARK = "zq7Canary7qz"
"""The secrets made here begin with it: a text that holds it in no dress holds none of them."""
ODD = "\"<&'%é ="
"""Characters that every escape writes in another way."""


def canary(name: str, *, odd: bool = False) -> str:
    """A secret like no other. The plain middle of an odd one survives most escapes; the whole of it survives none."""
    core = f"{MARK}{name.translate(_PLAIN)}{secrets.token_hex(12)}"
    return f"{core}{ODD}{secrets.token_hex(4)}" if odd else core


_PLAIN = str.maketrans("", "", " -_")


def dresses(secret: str) -> Iterator[bytes]:
    """The ways of writing a secret that are looked for."""
    for part in {secret, secret.partition(ODD[0])[0]}:
        raw = part.encode()
        yield raw
        yield raw.hex().encode()
        yield part.encode("utf-16-le")
        yield part.encode("utf-16-be")
        yield quote(part, safe="").encode()
        yield quote_plus(part).encode()
        yield "".join(f"%{byte:02x}" for byte in raw).encode()
        yield part.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&#34;").replace("'", "&#39;").encode()
        yield part.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace("'", "&#x27;").encode()
        yield part.replace('"', '\\"').encode("ascii", "backslashreplace").replace(b"\\xe9", b"\\u00e9")
        yield from _in_base64(raw)
    yield secret[: len(secret) * 2 // 3].encode()


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Base64 at each of its three alignments, to find it behind ``user:`` too; without what neighbours touch."""
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + raw)
        inner = coded[(0, 2, 3)[shift] : len(coded) // 4 * 4 - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def found_in(texts: Mapping[str, bytes], canaries: Mapping[str, str]) -> list[str]:
    """Which canary turned up where. Thousands of dresses are searched for only where the mark of all is found."""
    marks = set(dresses(MARK))
    unmarked = {name: secret for name, secret in canaries.items() if not secret.startswith(MARK)}
    wanted = {where: canaries if any(mark in text for mark in marks) else unmarked for where, text in texts.items()}
    return [
        f"{name} as {dress!r} in {where}: …{_around(text, dress)}…"
        for where, text in texts.items()
        for name, secret in wanted[where].items()
        for dress in sorted(set(dresses(secret)))
        if dress in text
    ]


def _around(text: bytes, dress: bytes) -> str:
    at = text.index(dress)
    return text[max(0, at - 200) : at + 60].decode("utf-8", "replace")


def seen_in_each_dress(secret: str) -> Iterable[bytes]:
    """One text per dress, by other means than the search: to prove that the search is not blind."""
    pair = f"apikey:{secret}"
    yield f"password={secret}".encode()
    yield base64.b64encode(pair.encode())
    yield base64.b64encode(f"x{pair}".encode())
    yield base64.urlsafe_b64encode(f"xy{pair}".encode())
    yield quote(secret).encode()
    yield secret.encode("utf-16")
    yield repr({"a": secret}).encode()
