"""The language of a request, and the texts of templates in it."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from flask import Flask, Response, g, has_request_context, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from panel.core.messages import Message
from panel.integrations.registry import Registry
from panel.web.context import panel
from panel.web.translations import ENGLISH, LANGUAGES, add_catalogues, translated

COOKIE = "leafpanel-language"
PARAMETER = "lang"
AGENTS = "mcp.endpoint"
"""The endpoint of agents, which is English always."""


def install(app: Flask, registry: Registry) -> None:
    """Make ``_``, ``_n`` and ``language`` known to all templates, and translate every Message that they show."""
    add_catalogues(leaf.folder / "translations" for leaf in registry.all() if leaf.folder is not None)
    app.jinja_env.finalize = shown
    app.jinja_env.globals.update(_=template_text, _n=template_texts, language=language, languages=LANGUAGES)
    app.jinja_env.filters["translated"] = shown
    app.after_request(_name_language)


def language() -> str:
    """The language of this request's page: English outside of a request.

    The host application decides by its token, then the address, then the person, then the browser.
    """
    if not has_request_context():
        return ENGLISH
    if "language" not in g:
        g.language = _granted() or supported(request.args.get(PARAMETER, "")) or chosen() or _accepted()
    return cast(str, g.language)


def error_language() -> str:
    """The language of an error body in JSON: English unless the embed token or Accept-Language asks for another."""
    return ENGLISH if request.endpoint == AGENTS else _granted() or _accepted()


def supported(wanted: str) -> str:
    """The language of the panel for a language tag, such as ``nl`` for ``nl-BE``; "" without one."""
    code = wanted.partition("-")[0].lower()
    return code if code in LANGUAGES else ""


def chosen() -> str:
    """The language that the person chose in this browser, or ""."""
    return supported(request.cookies.get(panel().config.cookie(COOKIE), ""))


def _granted() -> str:
    """The language that the embed token of this request names, or ""."""
    return supported(g.embed_grant.lang) if "embed_grant" in g else ""


def _accepted() -> str:
    header = request.headers.get("Accept-Language")
    return _best(header) if header else ENGLISH


@lru_cache(maxsize=64)
def _best(accept_language: str) -> str:
    """The first language of the panel in Accept-Language; English where any will do.

    A region is a variant of its language (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4).
    """
    for tag, quality in parse_accept_header(accept_language, LanguageAccept):
        found = ENGLISH if tag == "*" else supported(tag)
        if found and quality > 0:
            return found
    return ENGLISH


def _name_language(response: Response) -> Response:
    """Name the language of a page, and what it depends on. The tokens of frames stand in their addresses."""
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Language", language())
        response.vary.update(("Accept-Language", "Cookie"))
    return response


def shown(value: object) -> object:
    """A value as this request shows it: a Message in its language, everything else unchanged."""
    return translated(value, language()) if isinstance(value, Message) else value


def template_text(template: str, /, **values: object) -> str:
    """``_`` of templates: a text in the language of this request. Values that are markup stay markup."""
    return translated(Message(template, values), language())


def template_texts(one: str, many: str, number: int, /, **values: object) -> str:
    """``_n`` of templates: a text about a number, which is ``{n}`` in it."""
    return translated(Message(one, values, many=many, number=number), language())
