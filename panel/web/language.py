"""The language of a request, and the texts of templates in it."""

from __future__ import annotations

from typing import cast

from flask import Flask, g, request

from panel.core.messages import Message
from panel.web.translations import ENGLISH, LANGUAGES, translated

COOKIE = "leafpanel-language"
COOKIE_S = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Make ``_``, ``_n`` and ``language`` known to all templates, and translate every Message that they show."""
    app.jinja_env.finalize = shown
    app.jinja_env.globals.update(_=template_text, _n=template_texts, language=language, languages=LANGUAGES)
    app.jinja_env.filters["translated"] = shown


def language() -> str:
    """The language of this request: set by its view, else what the person or the browser prefers, else English."""
    if "language" not in g:
        g.language = supported(request.cookies.get(COOKIE, "")) or _accepted()
    return cast(str, g.language)


def speak(wanted: str) -> None:
    """Answer this request in a language, if the panel has it: an embed token or an address asked for it."""
    g.language = supported(wanted) or language()


def supported(wanted: str) -> str:
    """The language of the panel for a language tag, such as ``nl`` for ``nl-BE``; "" without one."""
    code = wanted.partition("-")[0].lower()
    return code if code in LANGUAGES else ""


def _accepted() -> str:
    """The best language of Accept-Language. A region is a variant of its language."""
    for tag, _quality in request.accept_languages:
        if found := supported(tag):
            return found
    return ENGLISH


def shown(value: object) -> object:
    """A value as this request shows it: a Message in its language, everything else unchanged."""
    return translated(value, language()) if isinstance(value, Message) else value


def template_text(template: str, /, **values: object) -> str:
    """``_`` of templates: a text in the language of this request. Values that are markup stay markup."""
    return translated(Message(template, values), language())


def template_texts(one: str, many: str, number: int, /, **values: object) -> str:
    """``_n`` of templates: a text about a number, which is ``{n}`` in it."""
    return translated(Message(one, values, many=many, number=number), language())
