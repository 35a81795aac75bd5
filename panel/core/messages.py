"""Texts for people: English strings that keep their template and values, so that they can be translated when shown.

Code that makes a text does not know who reads it: the same failure is a notice in Dutch, an English line in the log
and an English JSON body. A ``Message`` is a str with the English text; ``panel/web/language.py`` translates it for a
reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import reduce


class Message(str):
    """An English text with the template and the values that it was made of.

    Formatting or joining it as a str gives a plain English str. Use ``filled`` and ``sentences`` instead.
    """

    __slots__ = ("many", "number", "template", "values")

    template: str
    many: str
    """The template for several, "" for a text without a number."""
    number: int
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object], *, many: str = "", number: int = 1) -> Message:
        chosen = without_quotes(many if many and number != 1 else template, values)
        shown = {"n": f"{number:,}", **values} if many else values
        self = super().__new__(cls, chosen.format(**shown) if shown else chosen)
        self.template, self.many, self.number, self.values = template, many, number, dict(values)
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, Mapping[str, object]], dict[str, object]]:
        return (self.template, self.values), {"many": self.many, "number": self.number}

    def filled(self, **values: object) -> Message:
        """The same text with values for its placeholders."""
        return Message(self.template, {**self.values, **values}, many=self.many, number=self.number)


class Label(Message):
    """The label of a setting, as a value where a text has the name of the setting in quotation marks.

    The label stands there without them.
    """

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Label:
        return cls(text.template, text.values) if isinstance(text, Message) else cls("{text}", {"text": text})


def labelled(text: str, name: str, label: str) -> str:
    """A text about the setting ``name``, with the label of that setting instead of its quoted name."""
    if not isinstance(text, Message):
        return text.replace(f"“{name}”", label)
    return text.filled(**{key: Label.of(label) for key, value in text.values.items() if value == name})


def without_quotes(template: str, values: Mapping[str, object]) -> str:
    """A template in any language without the quotation marks around its labels."""
    for name, value in values.items():
        if isinstance(value, Label):
            template = re.sub(f"[“„«‘‚'](\\{{{name}\\}})[”“»’‘']", r"\1", template)
    return template


class Day(date):
    """A day as a value of a text: ``4 Dec 2026`` in English."""

    def __str__(self) -> str:
        return f"{self.day} {self:%b %Y}"


def _(template: str, /, **values: object) -> Message:
    """A text for people. ``{name}`` in the template stands for the value of that name, which may be a Message.

    ``{noun}`` and ``{nouns}`` are the words of a leaf for its items; catalogues translate such a text for each leaf of
    the panel, because the sentence around a noun depends on it in many languages.
    """
    return Message(template, values)


def _n(one: str, many: str, number: int, /, **values: object) -> Message:
    """A text for people about a number, which is ``{n}`` in both templates."""
    return Message(one, values, many=many, number=number)


def sentences(*parts: str) -> Message:
    """Several texts after each other, with a space between them. Empty ones are left out."""
    return _joined(" ", parts)


def listed(*parts: str) -> Message:
    """Several texts with a comma between them. Empty ones are left out."""
    return _joined(", ", parts)


def _joined(separator: str, parts: Iterable[str]) -> Message:
    present = {f"part{index}": part for index, part in enumerate(part for part in parts if part)}
    return Message(separator.join(f"{{{name}}}" for name in present), present)


def any_of(options: Iterable[str]) -> str:
    """The options with “or” between them. There is at least one."""
    return reduce(lambda left, right: _("{left} or {right}", left=left, right=right), options)


def all_of(parts: Iterable[str]) -> str:
    """The parts with “and” between them. There is at least one."""
    return reduce(lambda left, right: _("{left} and {right}", left=left, right=right), parts)
