"""Code that an application signs its embed addresses with, in the language that it is written in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from flask import render_template

from panel.accounts.embed_tokens import GRANTABLE
from panel.core.errors import InvalidInput
from panel.core.text import checked_line

LANGUAGES = {"python": "Python", "php": "PHP", "javascript": "JavaScript", "java": "Java", "csharp": "C#"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the code is for."""

    language: str = "python"
    register: str = "register"
    schema: str = "schema"
    can: tuple[str, ...] = tuple(GRANTABLE)

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise InvalidInput("language", f"The language must be one of {', '.join(LANGUAGES.values())}.")
        for name in ("register", "schema"):
            checked_line(name, getattr(self, name), 255, what=f"A {name}")
        if not self.can or not set(self.can) <= GRANTABLE.keys():
            raise InvalidInput("can", "Choose at least one.")


def snippet(wanted: Wanted, *, kid: str, panel_url: str) -> str:
    """The code, with every value written as a literal of its language."""
    text = _single_quoted if wanted.language == "php" else _double_quoted
    rights = ", ".join(text(word) for word in wanted.can)
    place = "/".join(quote(part, safe="") for part in (wanted.register, wanted.schema))
    values = {
        "kid": text(kid),
        "register": text(wanted.register),
        "schema": text(wanted.schema),
        "place": text(f"{panel_url}/embed/{place}/"),
        "can": f"[{rights}]",
        "can_in_braces": f"{{ {rights} }}",
        "can_as_text": _double_quoted(json.dumps(list(wanted.can))),
    }
    return render_template(f"admin/snippets/{wanted.language}.txt", s=values)


def _double_quoted(text: str) -> str:
    """As Python, JavaScript, Java and C# write it. Texts are printable, so that only two characters need help."""
    return json.dumps(text, ensure_ascii=False)


def _single_quoted(text: str) -> str:
    """In PHP a dollar within double quotes would be a variable."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
