"""Solr search over the indexed documents: the part of the query language that clients of xWiki use.

Text fields match whole words, ``*`` and ``?`` are wildcards, exact fields match the whole value or a range of it, and
clauses are optional unless ``AND``, ``+``, ``-`` or ``NOT`` applies. A query with a syntax error has no results.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from panel.sandbox.xwiki_index import Document, words
from panel.sandbox.xwiki_page import Page

EXACT_FIELDS = {
    "reference", "fullname", "name_exact", "space_exact", "wiki", "hidden", "type", "version", "locale", "doclocale",
    "language", "creationdate", "creator", "date", "author",
}  # fmt: skip
TEXT_FIELDS = {"title": 10.0, "name": 10.0, "doccontent": 2.0, "doccontentraw": 0.4, "space": 0.016, "spaces": 0.016}
"""Fields that are split into words, with their boost in clauses without a field."""

SORT_KEYS: dict[str, Callable[[Hit], Any]] = {
    "date": lambda hit: hit.page.date,
    "creationdate": lambda hit: hit.page.created,
    "fullname": lambda hit: hit.page.reference.full_name,
    "name_exact": lambda hit: hit.page.reference.name,
    "space_exact": lambda hit: hit.page.reference.space,
    "title_sort": lambda hit: hit.page.plain_title.lower(),
    "score": lambda hit: hit.score,
}


@dataclass(frozen=True, slots=True)
class Searched:
    """A document during one search: its fields as the server's version has them."""

    document: Document
    marks_new: bool

    def exact(self, field: str) -> str:
        return self.document.value(field, marks_new=self.marks_new)

    def words(self, field: str) -> list[str]:
        return self.document.words[field]


Match = Callable[[Searched], float]
"""Returns the score of a document for a clause, 0 if it does not match."""


class BadQuery(ValueError):
    """The query has a syntax error."""


class UnknownOrder(ValueError):
    """The index has no field to sort by with this name."""


@dataclass(frozen=True, slots=True)
class Hit:
    page: Page
    score: float


def solr_search(
    documents: Iterable[Document], query: str, *, with_hidden: bool, marks_new: bool, order: str = "score desc"
) -> list[Hit]:
    """Return the matching documents, best first or in ``order``. Raises UnknownOrder."""
    key, descending = _sort_key(order)
    try:
        match = _Parser(query).parse()
    except BadQuery:
        return []
    hits = []
    for one in documents:
        if (with_hidden or not one.page.hidden) and (score := match(Searched(one, marks_new))):
            hits.append(Hit(one.page, score))
    return sorted(hits, key=key, reverse=descending)


def _sort_key(order: str) -> tuple[Callable[[Hit], Any], bool]:
    field, _, direction = order.partition(" ")
    if field not in SORT_KEYS:
        raise UnknownOrder(field)
    return SORT_KEYS[field], direction == "desc"


# --- the query language ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<phrase>"(?:\\.|[^"\\])*")
    | (?P<all>\*:\*)
    | (?P<field>[A-Za-z_][\w]*):(?=\S)
    | (?P<boost>\^[\d.]+)
    | (?P<sign>[+\-!](?=\S))
    | (?P<bracket>[()])
    | (?P<range>\[\S+\ TO\ \S+\])
    | (?P<term>(?:\\.|[^\s()"\\^])+)
    )""",
    re.VERBOSE,
)
_UNSUPPORTED = re.compile(r"[\[\]{}]")


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    query = query.rstrip()
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            raise BadQuery(f"Cannot parse '{query}': lexical error at column {position}")
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


class _Parser:
    """Lucene's classic parser: a flat list of clauses, each of which may, must or must not match."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = _tokens(query)
        self._position = 0

    def parse(self) -> Match:
        match = self._clauses(None)
        if self._peek() is not None:
            raise self._syntax_error()
        return match

    def _clauses(self, field: str | None) -> Match:
        clauses: list[tuple[str, Match]] = []
        while (token := self._peek()) is not None and token != ("bracket", ")"):
            operator = self._operator()
            must_not = self._negation()
            required = self._sign() == "+"
            if operator == "AND" and clauses and clauses[-1][0] == "may":
                clauses[-1] = ("must", clauses[-1][1])
            occurrence = "not" if must_not else "must" if operator == "AND" or required else "may"
            clauses.append((occurrence, self._clause(field)))
        if not clauses:
            raise self._syntax_error()
        return _combined(clauses)

    def _operator(self) -> str:
        token = self._peek()
        if token in (("term", "AND"), ("term", "OR"), ("term", "&&"), ("term", "||")):
            self._position += 1
            return "AND" if token[1] in ("AND", "&&") else "OR"
        return ""

    def _negation(self) -> bool:
        if self._peek() in (("term", "NOT"), ("sign", "-"), ("sign", "!")):
            self._position += 1
            return True
        return False

    def _sign(self) -> str:
        token = self._peek()
        if token == ("sign", "+"):
            self._position += 1
            return "+"
        return ""

    def _clause(self, field: str | None) -> Match:
        kind, text = self._next()
        if kind == "field":
            return self._field_clause(text)
        if kind == "bracket" and text == "(":
            match = self._clauses(field)
            if self._next() != ("bracket", ")"):
                raise self._syntax_error()
        elif kind == "all" or text == "*":
            match = _match_all
        elif kind == "range" and field in EXACT_FIELDS:
            match = _range(field, text)
        elif kind == "phrase":
            match = _phrase(field, _unescaped(text[1:-1]))
        elif kind == "term" and text not in ("AND", "OR", "NOT") and not _UNSUPPORTED.search(text):
            match = _term(field, text)
        else:
            raise self._syntax_error()
        return self._boosted(match)

    def _field_clause(self, name: str) -> Match:
        if name in EXACT_FIELDS or name in TEXT_FIELDS:
            return self._clause(name)
        # As in edismax, an unknown field is a plain word.
        kind, text = self._next()
        if kind not in ("term", "phrase"):
            raise self._syntax_error()
        return _phrase(None, f"{name} {text}")

    def _boosted(self, match: Match) -> Match:
        token = self._peek()
        if token is None or token[0] != "boost":
            return match
        factor = float(self._next()[1][1:])
        return lambda searched: match(searched) * factor

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise self._syntax_error()
        self._position += 1
        return token

    def _syntax_error(self) -> BadQuery:
        return BadQuery(f"org.apache.solr.search.SyntaxError: Cannot parse '{self._query}'")


def _combined(clauses: list[tuple[str, Match]]) -> Match:
    kinds = {occurrence for occurrence, _ in clauses}

    def match(searched: Searched) -> float:
        scores = {"may": 0.0, "must": 0.0, "not": 0.0}
        for occurrence, clause in clauses:
            score = clause(searched)
            if occurrence == "must" and not score:
                return 0.0
            scores[occurrence] += score
        if scores["not"]:
            return 0.0
        return 1.0 if kinds == {"not"} else scores["may"] + scores["must"]

    return match


def _match_all(_: Searched) -> float:
    return 1.0


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _range(field: str, text: str) -> Match:
    """``[a TO b]`` with ``*`` for an open end. Dates are compared as text, which their form allows."""
    low, _, high = text[1:-1].partition(" TO ")

    def match(searched: Searched) -> float:
        value = searched.exact(field)
        return float((low == "*" or value >= low) and (high == "*" or value <= high))

    return match


def _phrase(field: str | None, text: str) -> Match:
    if field is not None and field in EXACT_FIELDS:
        return lambda searched: float(searched.exact(field) == text)
    wanted = words(text)

    def matches(present: list[str]) -> bool:
        return any(present[at : at + len(wanted)] == wanted for at in range(len(present))) if wanted else False

    return _match_text_fields(field, matches, "".join(f" {word}" for word in wanted))


def _term(field: str | None, raw: str) -> Match:
    if not re.search(r"(?<!\\)[*?]", raw):
        return _phrase(field, _unescaped(raw))
    if field is not None and field in EXACT_FIELDS:
        exact = _pattern(raw)
        return lambda searched: float(exact.fullmatch(searched.exact(field)) is not None)
    pattern = _pattern(raw.lower())
    start = _unescaped(re.split(r"(?<!\\)[*?]", raw.lower())[0])
    return _match_text_fields(field, lambda present: any(pattern.fullmatch(word) for word in present), f" {start}")


def _pattern(raw: str) -> re.Pattern[str]:
    """``*`` is any text and ``?`` one character, unless a backslash is in front of it."""
    parts = re.findall(r"\\.|.", raw, re.DOTALL)
    return re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part[-1])) for part in parts), re.DOTALL)


def _match_text_fields(field: str | None, matches: Callable[[list[str]], bool], start: str) -> Match:
    """``start`` is in the text of every document that matches."""
    weights = {field: 1.0} if field else TEXT_FIELDS

    def match(searched: Searched) -> float:
        if start not in searched.document.text:
            return 0.0
        return sum(weight for name, weight in weights.items() if matches(searched.words(name)))

    return match
