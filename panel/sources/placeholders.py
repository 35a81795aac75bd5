"""``${NAME}`` in the texts of a source: a placeholder for an environment variable, which only a file import expands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from panel.core.errors import InvalidInput
from panel.core.messages import _

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OTHER = re.compile(r"\$\{(?![A-Za-z_][A-Za-z0-9_]*\})")


def check_placeholders(values: Mapping[str, Any]) -> None:
    """Raise InvalidInput naming the first field with a ``${`` that begins no placeholder, such as ``${NAME``."""
    for path, text in texts_of(values):
        if _OTHER.search(text):
            raise InvalidInput(
                path,
                _(
                    "“{name}” holds a {start} that begins no placeholder; "
                    "write {example} with letters, digits and _ only.",
                    name=path,
                    start="${",
                    example="${NAME}",
                ),
            )


def texts_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a source in its JSON shape, with its path, such as ``auth.password``."""
    for key, value in values.items():
        if isinstance(value, str):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            yield from texts_of(value, f"{prefix}{key}.")
