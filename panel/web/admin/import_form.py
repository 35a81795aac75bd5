"""Removes secrets from a refused file, so that the import form can show it again for correction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import yaml

from panel.core.errors import InvalidInput
from panel.sources.placeholders import PLACEHOLDER
from panel.sources.yaml_file import MAX_BYTES, safe_events

_SECRET_WORDS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "headers")
"""Parts of names of secrets. They match keys that a source does not have too, such as a misspelt ``passwort``."""
_PUBLIC_NAME = "tokenurl"
_KEY_LINE = re.compile(r"^\s*[\"']?[\w.-]+[\"']?\s*:(\s|$)")


def without_secrets(text: str) -> str:
    """The text without the values of secret keys; placeholders such as ``${NAME}`` stay.

    A text that is too long for a source file is not shown again. The time grows linearly with the text.
    """
    if len(text) > MAX_BYTES:
        return ""
    try:
        cuts = list(_secret_spans(text))
    except (yaml.YAMLError, InvalidInput):
        return _cut_by_lines(text)
    for start, end in reversed(cuts):
        # A block scalar ends at the beginning of the next line.
        text = text[:start] + ("\n" if text[start:end].endswith("\n") else "") + text[end:]
    return text


def _is_secret(name: str) -> bool:
    lower = name.lower()
    return not lower.startswith(_PUBLIC_NAME) and any(word in lower for word in _SECRET_WORDS)


@dataclass(slots=True)
class _Block:
    """A mapping or a list that is open. ``key`` is the key of a mapping whose value comes next."""

    is_mapping: bool
    is_secret: bool
    key: str | None = None

    def has_secret_next(self) -> bool:
        return self.is_secret or (self.key is not None and _is_secret(self.key))


def _secret_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each scalar below a secret key of valid YAML, quoted and folded ones too."""
    blocks = [_Block(is_mapping=False, is_secret=False)]
    for event in safe_events(text):
        block = blocks[-1]
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            blocks.append(_Block(is_mapping, block.has_secret_next()))
        elif isinstance(event, yaml.CollectionEndEvent):
            blocks.pop()
            _pass_value(blocks[-1], "")
        elif isinstance(event, yaml.ScalarEvent):
            is_value = not block.is_mapping or block.key is not None
            if is_value and block.has_secret_next() and not PLACEHOLDER.fullmatch(event.value):
                yield _span(event)
            _pass_value(block, event.value)


def _pass_value(block: _Block, text: str) -> None:
    """Keys and values of a mapping alternate."""
    if block.is_mapping:
        block.key = text if block.key is None else None


def _span(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _cut_by_lines(text: str) -> str:
    """Cut other text: the rest of a line with a secret key, and the lines that may belong to its value."""
    lines: list[str] = []
    below: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if below is not None and (indent > below or not _KEY_LINE.match(line)):
            continue
        start = _value_start(line)
        cut = start is not None and not PLACEHOLDER.fullmatch(line[start:].strip())
        below = indent if cut else None
        lines.append(line[:start] if cut else line)
    return "\n".join(lines)


def _value_start(line: str) -> int | None:
    """Where the value of the first secret key of a line begins; None when it has none."""
    start = 0
    for part in line.split(":")[:-1]:
        end = start + len(part)
        name = part.rstrip().rstrip("\"'")
        length = sum(1 for _ in takewhile(_is_name_character, reversed(name)))
        if _is_secret(name[len(name) - length :]):
            return end + 1
        start = end + 1
    return None


def _is_name_character(character: str) -> bool:
    return character.isalnum() or character in "_-"
