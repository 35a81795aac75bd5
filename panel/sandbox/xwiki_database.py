"""xWiki's database, as far as REST gives access to it: HQL and XWQL fragments over documents, and LIKE patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from panel.sandbox.xwiki_page import Page


class BadFragment(ValueError):
    """The query has a syntax error or names an unknown property."""


Value = Callable[[Page], Any]

PROPERTIES: dict[str, Value] = {
    "fullName": lambda page: page.reference.full_name,
    "name": lambda page: page.reference.name,
    "space": lambda page: page.reference.space,
    "title": lambda page: page.title,
    "content": lambda page: page.content,
    "parent": lambda page: page.parent,
    "author": lambda page: page.author,
    "contentAuthor": lambda page: page.author,
    "creator": lambda page: page.creator,
    "language": lambda page: page.language,
    "translation": lambda page: int(page.language != ""),
    "hidden": lambda page: page.hidden,
    "date": lambda page: page.date,
    "creationDate": lambda page: page.created,
    "contentUpdateDate": lambda page: page.content_date,
    "version": lambda page: page.version,
}


def like(pattern: str, value: str) -> bool:
    """Match like SQL's LIKE: ``%`` is any text, ``_`` one character."""
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def contains(substring: str, value: str) -> bool:
    """Match a substring as REST does: ``upper(value) like '%SUBSTRING%'``."""
    return like(f"%{substring.upper()}%", value.upper())


def select(documents: Iterable[Page], fragment: str) -> list[Page]:
    """Return the rows of ``select … from XWikiDocument as doc <fragment>``. Raises BadFragment."""
    condition, orders = _FragmentParser(fragment).parse()
    matching = [row for row in documents if condition(row)]
    for value, descending in reversed(orders):
        matching.sort(key=value, reverse=descending)
    return matching


def has_doubled_quote(fragment: str) -> bool:
    """Whether a literal contains ``''``, which XWQL cannot read on some servers. Raises BadFragment."""
    return any(kind == "text" and "''" in text[1:-1] for kind, text in _tokens(fragment))


_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:''|[^'])*')|(?P<number>\d+)|(?P<word>[A-Za-z_][\w.]*)|(?P<symbol><>|!=|<=|>=|[=<>(),]))"
)


def _tokens(fragment: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    fragment = fragment.rstrip()
    while position < len(fragment):
        match = _TOKEN.match(fragment, position)
        if match is None:
            raise BadFragment(f"unexpected char: '{fragment[position:].strip()[:1]}'")
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


class _FragmentParser:
    """A recursive descent parser of ``[where …] [order by …]``."""

    def __init__(self, fragment: str) -> None:
        self._tokens = _tokens(fragment)
        self._position = 0

    def parse(self) -> tuple[Value, list[tuple[Value, bool]]]:
        condition: Value = self._disjunction() if self._word("where") else (lambda row: True)
        orders = []
        if self._word("order"):
            self._expect("by")
            orders.append(self._order())
            while self._symbol(","):
                orders.append(self._order())
        if self._position < len(self._tokens):
            raise BadFragment(f"unexpected token: {self._tokens[self._position][1]}")
        return condition, orders

    def _order(self) -> tuple[Value, bool]:
        value = self._value()
        descending = self._word("desc")
        if not descending:
            self._word("asc")
        return value, descending

    def _disjunction(self) -> Value:
        left = self._conjunction()
        while self._word("or"):
            left = _any_of(left, self._conjunction())
        return left

    def _conjunction(self) -> Value:
        left = self._negation()
        while self._word("and"):
            left = _all_of(left, self._negation())
        return left

    def _negation(self) -> Value:
        if self._word("not"):
            inner = self._negation()
            return lambda row: not inner(row)
        if self._symbol("("):
            inner = self._disjunction()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Value:
        left = self._value()
        negated = self._word("not")
        if self._word("in"):
            matches = self._in(left)
        elif self._word("like"):
            pattern = self._value()
            matches = lambda row: like(pattern(row), left(row))  # noqa: E731
        else:
            matches = self._equality(left)
        return (lambda row: not matches(row)) if negated else matches

    def _in(self, left: Value) -> Value:
        self._expect("(")
        options = [self._value()]
        while self._symbol(","):
            options.append(self._value())
        self._expect(")")
        return lambda row: left(row) in [option(row) for option in options]

    def _equality(self, left: Value) -> Value:
        if self._symbol("="):
            right = self._value()
            return lambda row: left(row) == right(row)
        if self._symbol("<>") or self._symbol("!="):
            right = self._value()
            return lambda row: left(row) != right(row)
        raise BadFragment("expecting a comparison")

    def _value(self) -> Value:
        kind, text = self._next()
        if kind == "text":
            return _constant(text[1:-1].replace("''", "'"))
        if kind == "number":
            return _constant(int(text))
        if kind == "word" and text.lower() in ("true", "false"):
            return _constant(text.lower() == "true")
        if kind == "word" and text.lower() in ("lower", "upper"):
            return self._folded(text.lower())
        return _property(text)

    def _folded(self, function: str) -> Value:
        self._expect("(")
        inner = self._value()
        self._expect(")")
        return lambda row: getattr(str(inner(row)), function)()

    def _word(self, word: str) -> bool:
        return self._accept(("word", word))

    def _symbol(self, symbol: str) -> bool:
        return self._accept(("symbol", symbol))

    def _accept(self, token: tuple[str, str]) -> bool:
        if self._position < len(self._tokens):
            kind, text = self._tokens[self._position]
            if (kind, text.lower()) == token:
                self._position += 1
                return True
        return False

    def _expect(self, text: str) -> None:
        if self._next()[1].lower() != text:
            raise BadFragment(f"expecting {text}")

    def _next(self) -> tuple[str, str]:
        if self._position >= len(self._tokens):
            raise BadFragment("unexpected end of subtree")
        self._position += 1
        return self._tokens[self._position - 1]


def _constant(value: Any) -> Value:
    return lambda row: value


def _any_of(left: Value, right: Value) -> Value:
    return lambda row: left(row) or right(row)


def _all_of(left: Value, right: Value) -> Value:
    return lambda row: left(row) and right(row)


def _property(text: str) -> Value:
    alias, _, name = text.partition(".")
    if alias != "doc" or name not in PROPERTIES:
        raise BadFragment(f"could not resolve property: {text}")
    return PROPERTIES[name]
