"""A complete answer of an upstream: status, headers, and a body that was read to its end within the size limit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.core.errors import ProviderUnavailable
from panel.core.messages import _
from panel.core.reasons import Reason

_MOST_NODES = 400_000
"""The most commas and opening brackets in one body: 5 MB of ``{},{},…`` would take over 100 MB when parsed."""

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}", re.ASCII)
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are lower-case. ``where`` is method and path without query, for messages."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    where: str

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.media_type == "application/json" or self.media_type.endswith("+json")

    def json(self) -> Any:
        """The parsed body. Raises ProviderUnavailable (unexpected-response) unless it is strict JSON.

        Strict means UTF-8, within limits of size and depth, without NaN and without duplicate keys.
        """
        if not self.is_json:
            raise unexpected(
                _(
                    "{where} answered {status} with {kind}, not JSON.",
                    where=self.where,
                    status=self.status,
                    kind=_shown(self.media_type),
                )
            )
        try:
            return _parse(self.body)
        except (ValueError, RecursionError):
            raise unexpected(
                _(
                    "{where} answered {status} with a body that is not readable JSON.",
                    where=self.where,
                    status=self.status,
                )
            ) from None

    def object(self) -> dict[str, Any]:
        """The parsed body. Raises as ``json`` does, also when it is no JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise unexpected(
                _("{where} answered {status} with JSON of another shape.", where=self.where, status=self.status)
            )
        return value


def unexpected(message: str) -> ProviderUnavailable:
    """The error for an answer that does not match the upstream's documentation."""
    return ProviderUnavailable.because(Reason.UNEXPECTED_RESPONSE, message)


def _parse(body: bytes) -> Any:
    if sum(body.count(mark) for mark in (b",", b"{", b"[")) > _MOST_NODES:
        raise ValueError("too many values")
    value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    return _without_surrogates(value) if _ESCAPED_SURROGATE.search(body) else value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys, because parsers disagree about which value counts. Raises ValueError."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values


def _without_surrogates(value: Any) -> Any:
    """Remove lone surrogates from all strings: JSON can escape them, but they cannot be encoded or stored."""
    if isinstance(value, str):
        # UTF-16 joins the two surrogates of a pair and drops lone ones.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    if isinstance(value, list):
        return [_without_surrogates(part) for part in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    return value


def _shown(media_type: str) -> str:
    """A media type for a message. Text that is no media type is not repeated."""
    if not media_type:
        return _("no content type")
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else _("an unknown content type")
