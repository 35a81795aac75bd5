"""The catalogues of translated texts: read at their first use, one for each language but English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from markupsafe import escape

from panel.core.messages import Day, Message, without_quotes

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "nl": "Nederlands", "de": "Deutsch"}
"""The languages of the panel, each with its own name."""
FOLDER = Path(__file__).resolve().parent.parent / "translations"
NOUNS = ("noun", "nouns")
"""Values that are part of the sentence: a text with them is first looked up with the nouns filled in."""


def translated(text: str, language: str) -> str:
    """The text in this language; a plain str, or a text without a translation, in English."""
    if not isinstance(text, Message):
        return text
    found = catalogue(language)
    template = without_quotes(_template(found, text), text.values)
    values = {name: _value(value, language) for name, value in text.values.items()}
    if text.many:
        values = {"n": number(text.number, language), **values}
    return _fill(template, values)


def number(value: float, language: str) -> str:
    """A number with the separators of the language."""
    if language == ENGLISH:
        return f"{value:,}"
    # Babel takes 40 ms to import, which commands and the JSON interface need not wait for.
    from babel.numbers import format_decimal

    return format_decimal(value, locale=language)


def _value(value: object, language: str) -> object:
    if isinstance(value, Day) and language != ENGLISH:
        from babel.dates import format_skeleton

        return format_skeleton("yMMMd", value, locale=language)
    return translated(value, language) if isinstance(value, str) else value


def _template(texts: NullTranslations, text: Message) -> str:
    """The template in the language of the catalogue: with its nouns if the catalogue knows that, else without."""
    nouns = {f"{{{name}}}": str(text.values[name]) for name in NOUNS if name in text.values}
    if nouns:
        one, many = _with_nouns(text.template, nouns), _with_nouns(text.many, nouns)
        found = _look_up(texts, one, many, text.number)
        if found not in (one, many):
            return found
    return _look_up(texts, text.template, text.many, text.number)


def _with_nouns(template: str, nouns: Mapping[str, str]) -> str:
    for placeholder, noun in nouns.items():
        template = template.replace(placeholder, noun)
    return template


def _look_up(texts: NullTranslations, one: str, many: str, count: int) -> str:
    return texts.ngettext(one, many, count) if many else texts.gettext(one) if one else ""


def _fill(template: str, values: Mapping[str, object]) -> str:
    if not values:
        return template
    if any(hasattr(value, "__html__") for value in values.values()):
        return escape(template).format(**values)
    return template.format(**values)


@cache
def catalogue(language: str) -> NullTranslations:
    """The translated texts of a language; what no file of it has stays English.

    The texts of leaves from packages come after ours, so that no package changes a text of the panel.
    """
    found = NullTranslations()
    if language == ENGLISH:
        return found
    for folder in (*reversed(_leaf_folders), FOLDER):
        path = folder / language / "LC_MESSAGES" / "messages.po"
        if path.is_file():
            found, other = _compiled(path, language), found
            found.add_fallback(other)
    return found


_leaf_folders: list[Path] = []


def add_catalogues(folders: Iterable[Path]) -> None:
    """Read the texts of leaves that have their own. ``folders`` are laid out as ``panel/translations``."""
    new = [folder for folder in folders if folder.is_dir() and folder not in _leaf_folders]
    if new:
        _leaf_folders.extend(new)
        catalogue.cache_clear()


def _compiled(path: Path, language: str) -> GNUTranslations:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
