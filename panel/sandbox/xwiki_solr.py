"""A Solr small enough to read: the query language as far as clients of xWiki use it, over the indexed pages.

Text fields match whole words, ``*`` and ``?`` are wildcards, exact fields match the whole value, and clauses are
optional unless ``AND``, ``+``, ``-`` or ``NOT`` says otherwise. What is not understood raises BadQuery.
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
"""Fields that are cut into words, with what a match in them is worth to words that name no field."""

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
"""What a clause makes of a document: its score, or 0 when it does not match."""


class BadQuery(ValueError):
    """The search engine does not understand the query."""


@dataclass(frozen=True, slots=True)
class Hit:
    page: Page
    language: str
    score: float


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def solr_search(pages: Iterable[Page], query: str, *, with_hidden: bool, order: str = "score desc") -> list[Hit]:
    """Every indexed document that matches, best first or in the asked order. Translations are documents too."""
    match = _Parser(query).whole()
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
_NEVER = re.compile(r"[\[\]{}]")


def _tokens(query: str) -> list[tuple[str, str]]:
    found, at = [], 0
    query = query.rstrip()
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise BadQuery(f"Cannot parse '{query}': lexical error at column {at}")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    return found


class _Parser:
    """Lucene's classic reading: a flat list of clauses, each of which may, must or must not match."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = _tokens(query)
        self._at = 0

    def whole(self) -> Match:
        match = self._clauses(None)
        if self._peek() is not None:
            raise self._broken()
        return match

    def _clauses(self, field: str | None) -> Match:
        found: list[tuple[str, Match]] = []
        while (token := self._peek()) is not None and token != ("bracket", ")"):
            joined = self._operator()
            must_not = self._negation()
            required = self._sign() == "+"
            if joined == "AND" and found and found[-1][0] == "may":
                found[-1] = ("must", found[-1][1])
            occurrence = "not" if must_not else "must" if joined == "AND" or required else "may"
            found.append((occurrence, self._clause(field)))
        if not found:
            raise self._broken()
        return _combined(found)

    def _operator(self) -> str:
        token = self._peek()
        if token in (("term", "AND"), ("term", "OR"), ("term", "&&"), ("term", "||")):
            self._at += 1
            return "AND" if token[1] in ("AND", "&&") else "OR"
        return ""

    def _negation(self) -> bool:
        if self._peek() in (("term", "NOT"), ("sign", "-"), ("sign", "!")):
            self._at += 1
            return True
        return False

    def _sign(self) -> str:
        token = self._peek()
        if token == ("sign", "+"):
            self._at += 1
            return "+"
        return ""

    def _clause(self, field: str | None) -> Match:
        kind, text = self._take()
        if kind == "field":
            return self._fielded(text)
        if kind == "bracket" and text == "(":
            match = self._clauses(field)
            if self._take() != ("bracket", ")"):
                raise self._broken()
        elif kind == "all" or text == "*":
            match = _everything
        elif kind == "phrase":
            match = _phrase(field, _unescaped(text[1:-1]))
        elif kind == "term" and text not in ("AND", "OR", "NOT") and not _NEVER.search(text):
            match = _term(field, text)
        else:
            raise self._broken()
        return self._boosted(match)

    def _fielded(self, name: str) -> Match:
        if name in EXACT_FIELDS or name in TEXT_FIELDS:
            return self._clause(name)
        # A field that the index does not have is read as a plain word, as edismax does.
        kind, text = self._take()
        if kind not in ("term", "phrase"):
            raise self._broken()
        return _phrase(None, f"{name} {text}")

    def _boosted(self, match: Match) -> Match:
        token = self._peek()
        if token is None or token[0] != "boost":
            return match
        factor = float(self._take()[1][1:])
        return lambda fields: match(fields) * factor

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise self._broken()
        self._at += 1
        return token

    def _broken(self) -> BadQuery:
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


def _everything(_: Fields) -> float:
    return 1.0


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _phrase(field: str | None, text: str) -> Match:
    if field in EXACT_FIELDS:
        return lambda fields: float(fields[field] == text)
    wanted = words(text)

    def matches(value: str) -> bool:
        have = words(value)
        return any(have[at : at + len(wanted)] == wanted for at in range(len(have))) if wanted else False

    return _over_text(field, matches)


def _term(field: str | None, raw: str) -> Match:
    if not re.search(r"(?<!\\)[*?]", raw):
        return _phrase(field, _unescaped(raw))
    pattern = _unescaped(raw)
    if field in EXACT_FIELDS:
        return lambda fields: float(fnmatchcase(fields[field], pattern))
    return _over_text(field, lambda value: any(fnmatchcase(word, pattern.lower()) for word in words(value)))


def _over_text(field: str | None, matches: Callable[[str], bool]) -> Match:
    weights = {field: 1.0} if field else TEXT_FIELDS
    return lambda fields: sum(weight for name, weight in weights.items() if matches(fields[name]))


# --- keywords, as a search box sends them ----------------------------------------------------------------------


def keyword_search(pages: Iterable[Page], keywords: str, scopes: Iterable[str]) -> list[Hit]:
    """Pages by words of a search box: any word counts, the last may be a beginning, titles weigh most."""
    wanted = words(keywords)
    asked = set(scopes)
    hits = []
    for page in pages:
        score = 0.0 if page.hidden else sum(_keyword_scores(page, wanted, asked)) + _exact(page, keywords, asked)
        if score:
            hits.append(Hit(page, "", score))
    return sorted(hits, key=lambda hit: (-hit.score, hit.page.reference.full_name))


def _keyword_scores(page: Page, wanted: list[str], scopes: set[str]) -> Iterable[float]:
    names = [] if page.reference.name == HOME else words(page.reference.name)
    places = {
        "TITLE": [(4.0, words(page.plain_title))],
        "NAME": [(1.0, words(" ".join(page.reference.spaces))), (2.0, names)],
        "CONTENT": [(1.0, words(page.content))],
    }
    for scope in scopes & places.keys():
        for weight, have in places[scope]:
            yield weight * sum(word in have for word in wanted)
            # The content is searched without wildcards: that would cost too much.
            if scope != "CONTENT" and wanted and any(word.startswith(wanted[-1]) for word in have):
                yield weight


def _exact(page: Page, keywords: str, scopes: set[str]) -> float:
    """A typed reference finds its page before all others."""
    return 1000.0 if "NAME" in scopes and page.reference.id == f"{WIKI}:{keywords.removeprefix(f'{WIKI}:')}" else 0.0
