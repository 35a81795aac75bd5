"""Removes secrets from a refused file, so that the import form can show it again for correction."""

from __future__ import annotations

import re

import yaml

_SENSITIVE_NAME = r"(?!tokenUrl)[\w-]*(?:pass|pwd|secret|token|key|credential|authorization|cookie)[\w-]*"
"""Matches keys that a source does not have too: a misspelt ``passwort`` is refused, but its value is a secret."""
_SECRET_KEY = re.compile(_SENSITIVE_NAME, re.IGNORECASE)
_SECRET_LINE = re.compile(rf"^(.*?\b{_SENSITIVE_NAME}[\"']?\s*:)(.*)$", re.IGNORECASE)
_KEY_LINE = re.compile(r"^\s*[\"']?[\w.-]+[\"']?\s*:(\s|$)")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def without_secrets(text: str) -> str:
    """The text without the values of secret keys; placeholders such as ``${NAME}`` stay."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
        tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return _cut_by_lines(text)
    return _cut_by_tokens(text, tokens)


def _cut_by_tokens(text: str, tokens: list[yaml.Token]) -> str:
    """Cut valid YAML: each scalar after a secret key, quoted and folded ones too."""
    cuts = []
    for key, _, value in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if not isinstance(key, yaml.ScalarToken) or not isinstance(value, yaml.ScalarToken):
            continue
        if _SECRET_KEY.fullmatch(key.value) and not _PLACEHOLDER.fullmatch(value.value):
            cuts.append((value.start_mark.index, value.end_mark.index))
    for start, end in reversed(cuts):
        # A block scalar ends at the beginning of the next line.
        text = text[:start] + ("\n" if text[start:end].endswith("\n") else "") + text[end:]
    return text


def _cut_by_lines(text: str) -> str:
    """Cut other text: the rest of a line with a secret key, and the lines that may belong to its value."""
    lines: list[str] = []
    below: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if below is not None and (indent > below or not _KEY_LINE.match(line)):
            continue
        match = _SECRET_LINE.match(line)
        cut = match is not None and not _PLACEHOLDER.fullmatch(match[2].strip())
        below = indent if cut else None
        lines.append(match[1] if match is not None and cut else line)
    return "\n".join(lines)
