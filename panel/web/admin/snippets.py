"""Code with which an application signs embed addresses, in the programming language of that application."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flask import render_template

from panel.accounts.embed_tokens import GRANTABLE
from panel.core.errors import InvalidInput
from panel.core.messages import _
from panel.core.text import checked_line
from panel.web.object_paths import segment

LANGUAGES = {"python": "Python", "php": "PHP", "javascript": "JavaScript", "java": "Java", "csharp": "C#"}


@dataclass(frozen=True, slots=True)
class SnippetRequest:
    """Language and claims of a snippet. Raises InvalidInput for values that do not fit."""

    language: str = "python"
    register: str = "register"
    schema: str = "schema"
    can: tuple[str, ...] = tuple(GRANTABLE)

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise InvalidInput(
                "language", _("The language must be one of {languages}.", languages=", ".join(LANGUAGES.values()))
            )
        for name, what in (("register", _("A register")), ("schema", _("A schema"))):
            checked_line(name, getattr(self, name), 255, what=what)
        if not self.can or not set(self.can) <= GRANTABLE.keys():
            raise InvalidInput("can", _("Choose at least one."))


def snippet(requested: SnippetRequest, *, kid: str, panel_url: str) -> str:
    """The code, with every value as a literal of its language."""
    text = _single_quoted if requested.language == "php" else _double_quoted
    rights = ", ".join(text(word) for word in requested.can)
    path = f"{segment(requested.register)}/{segment(requested.schema)}"
    values = {
        "kid": text(kid),
        "register": text(requested.register),
        "schema": text(requested.schema),
        "url": text(f"{panel_url}/embed/{path}/"),
        "can": f"[{rights}]",
        "can_in_braces": f"{{ {rights} }}",
        "can_as_text": _double_quoted(json.dumps(list(requested.can))),
    }
    return render_template(f"admin/snippets/{requested.language}.txt", s=values)


def _double_quoted(text: str) -> str:
    """A literal of Python, JavaScript, Java and C#. Texts are printable: only quote and backslash need escaping."""
    return json.dumps(text, ensure_ascii=False)


def _single_quoted(text: str) -> str:
    """A literal of PHP. PHP would interpolate a dollar sign inside double quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
