"""Queries of xWiki's search index and database, and the escaping of their values.

https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiRESTfulAPI, "Query resources".
"""

from __future__ import annotations

import re

from panel.connector import Answer, Upstream
from panel.integrations.xwiki.rest import Query, ask

INDEX = "solr"
DATABASE = "hql"
"""Not ``xwql``, whose literals cannot contain an apostrophe."""

DATABASE_CLOSED_S = 600.0
"""How long a database that refused queries is not queried again."""
_CLOSED, _QUERIES = "closed", "database"

_SPECIAL = re.compile(r'[+\-&|!(){}\[\]^"~*?:\\/]')
_OPERATORS = frozenset({"AND", "OR", "NOT"})


def ask_query(upstream: Upstream, kind: str, query: str, *, number: int, more: Query = ()) -> Answer:
    """The answer of ``/query``: 400 and 500 when this kind of query is refused or broken."""
    parameters = [("type", kind), ("q", query), ("number", str(number)), *more]
    return ask(upstream, "query", query=parameters, allow={400, 500})


def phrase(text: str) -> str:
    """A value of the index's query language in quotation marks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def all_words(text: str) -> str:
    """Clauses of the index for pages with every word of the text, or with words that begin like them, in any order.

    The index has no words without letters and digits, such as a dash, so they only count where there are no others.
    """
    return " ".join(f"+({clause})" for clause in _clauses(text))


def all_words_in_names(text: str) -> str:
    """As ``all_words``, but each word in the title of the page or in its own name."""
    return " ".join(f"+(title:({clause}) OR name:({clause}))" for clause in _clauses(text))


def _clauses(text: str) -> list[str]:
    words = text.split()
    real = [word for word in words if any(char.isalnum() for char in word)] or words
    return [f"{word} OR {word}*" for word in map(_escaped, real)]


def _escaped(word: str) -> str:
    return word.lower() if word in _OPERATORS else _SPECIAL.sub(r"\\\g<0>", word)


def database_is_open(upstream: Upstream) -> bool:
    """Whether the database may be asked. Many servers do not allow it."""
    return upstream.notes(_CLOSED).ages([_QUERIES]).get(_QUERIES, DATABASE_CLOSED_S) >= DATABASE_CLOSED_S


def note_closed_database(upstream: Upstream) -> None:
    upstream.notes(_CLOSED).add([_QUERIES])
