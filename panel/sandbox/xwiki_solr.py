"""Solr search over the indexed pages: the part of the query language that clients of xWiki use.

Text fields match whole words, ``*`` and ``?`` are wildcards, exact fields match the whole value, and clauses are
optional unless ``AND``, ``+``, ``-`` or ``NOT`` applies. Unsupported syntax raises BadQuery.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from panel.sandbox.xwiki_state import HOME, WIKI, Page

EXACT_FIELDS = {"reference", "fullname", "name_exact", "space_exact", "wiki", "hidden", "type", "version", "locale"}
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

Fields = Mapping[str, str]
Match = Callable[[Fields], float]
"""Returns the score of a document for a clause, 0 if it does not match."""


class BadQuery(ValueError):
    """The query has a syntax error or an unknown sort field."""


@dataclass(frozen=True, slots=True)
class Hit:
    page: Page
    language: str
    score: float


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def solr_search(pages: Iterable[Page], query: str, *, with_hidden: bool, order: str = "score desc") -> list[Hit]:
    """Return the matching documents, best first or in ``order``. Translations are documents too."""
    match = _Parser(query).parse()
    key, descending = _sort_key(order)
    hits = []
    for page in pages:
        if page.hidden and not with_hidden:
            continue
        for language in ("", *sorted(page.translations)):
            document = page.translated(language) if language else page
            if score := match(_fields(document, language)):
                hits.append(Hit(document, language, score))
    return sorted(hits, key=key, reverse=descending)


def _sort_key(order: str) -> tuple[Callable[[Hit], Any], bool]:
    field, _, direction = order.partition(" ")
    if field not in SORT_KEYS:
        raise BadQuery(f"sort param field can't be found: {field}")
    return SORT_KEYS[field], direction == "desc"


def _fields(page: Page, language: str) -> Fields:
    reference = page.reference
    return {
        "reference": f"document:{reference.id}",
        "fullname": reference.full_name,
        "name": reference.name,
        "name_exact": reference.name,
        "space": reference.space,
        "space_exact": reference.space,
        "spaces": " ".join(reference.spaces),
        "title": page.plain_title,
        "doccontent": page.content,
        "doccontentraw": page.content,
        "wiki": WIKI,
        "hidden": str(page.hidden).lower(),
        "type": "DOCUMENT",
        "version": page.version,
        "locale": language,
    }


# --- the query language ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<phrase>"(?:\\.|[^"\\])*")
    | (?P<all>\*:\*)
    | (?P<field>[A-Za-z_][\w]*):(?=\S)
    | (?P<boost>\^[\d.]+)
    | (?P<sign>[+\-!](?=\S))
    | (?P<bracket>[()])
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
        return lambda fields: match(fields) * factor

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
    def match(fields: Fields) -> float:
        scores = {"may": 0.0, "must": 0.0, "not": 0.0}
        for occurrence, clause in clauses:
            score = clause(fields)
            if occurrence == "must" and not score:
                return 0.0
            scores[occurrence] += score
        if scores["not"]:
            return 0.0
        kinds = {occurrence for occurrence, _ in clauses}
        return 1.0 if kinds == {"not"} else scores["may"] + scores["must"]

    return match


def _match_all(_: Fields) -> float:
    return 1.0


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _phrase(field: str | None, text: str) -> Match:
    if field in EXACT_FIELDS:
        return lambda fields: float(fields[field] == text)
    wanted = words(text)

    def matches(value: str) -> bool:
        present = words(value)
        return any(present[at : at + len(wanted)] == wanted for at in range(len(present))) if wanted else False

    return _match_text_fields(field, matches)


def _term(field: str | None, raw: str) -> Match:
    if not re.search(r"(?<!\\)[*?]", raw):
        return _phrase(field, _unescaped(raw))
    pattern = _unescaped(raw)
    if field in EXACT_FIELDS:
        return lambda fields: float(fnmatchcase(fields[field], pattern))
    return _match_text_fields(field, lambda value: any(fnmatchcase(word, pattern.lower()) for word in words(value)))


def _match_text_fields(field: str | None, matches: Callable[[str], bool]) -> Match:
    weights = {field: 1.0} if field else TEXT_FIELDS
    return lambda fields: sum(weight for name, weight in weights.items() if matches(fields[name]))


# --- keyword search --------------------------------------------------------------------------------------------


def keyword_search(pages: Iterable[Page], keywords: str, scopes: Iterable[str]) -> list[Hit]:
    """Find pages by keywords: any word matches, the last one also as a prefix; titles have the highest weight."""
    wanted = words(keywords)
    searched = set(scopes)
    hits = []
    for page in pages:
        score = (
            0.0
            if page.hidden
            else sum(_keyword_scores(page, wanted, searched)) + _exact_match_score(page, keywords, searched)
        )
        if score:
            hits.append(Hit(page, "", score))
    return sorted(hits, key=lambda hit: (-hit.score, hit.page.reference.full_name))


def _keyword_scores(page: Page, wanted: list[str], scopes: set[str]) -> Iterable[float]:
    names = [] if page.reference.name == HOME else words(page.reference.name)
    weighted_words = {
        "TITLE": [(4.0, words(page.plain_title))],
        "NAME": [(1.0, words(" ".join(page.reference.spaces))), (2.0, names)],
        "CONTENT": [(1.0, words(page.content))],
    }
    for scope in scopes & weighted_words.keys():
        for weight, present in weighted_words[scope]:
            yield weight * sum(word in present for word in wanted)
            # The content is searched without wildcards, which would be too slow.
            if scope != "CONTENT" and wanted and any(word.startswith(wanted[-1]) for word in present):
                yield weight


def _exact_match_score(page: Page, keywords: str, scopes: set[str]) -> float:
    """Boost the page whose reference equals the keywords."""
    return 1000.0 if "NAME" in scopes and page.reference.id == f"{WIKI}:{keywords.removeprefix(f'{WIKI}:')}" else 0.0
