"""The catalogues of translated texts, and how texts are collected for them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
import texts
from babel.messages.catalog import Catalog, Message

from panel.integrations.descriptor import texts_of
from panel.web.translations import LANGUAGES

EACH_LANGUAGE = pytest.mark.parametrize("language", texts.LANGUAGES)
MARKUP = re.compile(r"</?[a-zA-Z]|&[a-z]+;")


def messages(language: str) -> list[Message]:
    return [message for message in texts.read(texts.path_of(language), language) if message.id]


def forms(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


# --- the catalogues --------------------------------------------------------------------------------------------------


def test_there_is_a_catalogue_for_each_language_of_the_panel() -> None:
    assert {"en", *texts.LANGUAGES} == set(LANGUAGES)


@EACH_LANGUAGE
def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    differing = [
        (text, string)
        for message in messages(language)
        for text, string in zip(forms(message.id), forms(message.string), strict=True)
        if string and placeholders(text) != placeholders(string)
    ]

    assert differing == []


@EACH_LANGUAGE
def test_every_text_is_translated_and_no_other_one(language: str) -> None:
    found = {ids[0]: "".join(ids[1:]) for ids in (forms(message.id) for message in messages(language))}

    assert found == texts.collected(), "run `make texts`"
    assert texts.missing(texts.read(texts.path_of(language), language)) == []


@EACH_LANGUAGE
def test_the_file_is_what_make_texts_writes(language: str, tmp_path: Path) -> None:
    path = texts.path_of(language)

    texts.write(texts.read(path, language), tmp_path / "again.po", language)

    assert (tmp_path / "again.po").read_text("utf-8") == path.read_text("utf-8")


@EACH_LANGUAGE
def test_no_catalogue_has_markup_or_guesses(language: str) -> None:
    found = messages(language)

    assert [message.id for message in found if any(map(MARKUP.search, forms(message.string)))] == []
    assert [message.id for message in found if message.fuzzy] == []


# --- collecting ------------------------------------------------------------------------------------------------------


def test_texts_are_found_in_python_and_in_templates() -> None:
    source = b'x = _("One {a}" " text", a=f(_("inner")))\ny = _n("{n} page", "{n} pages", count)\n'
    template = '{% set x %}{{ _("Shown {a}", a=_("inner")) }}{% endset %}<a title="{{ _n("{n} row", "{n} rows", 2) }}">'

    assert set(texts.in_python(source)) == {("One {a} text", ""), ("inner", ""), ("{n} page", "{n} pages")}
    assert set(texts.in_template(template)) == {("Shown {a}", ""), ("inner", ""), ("{n} row", "{n} rows")}


@pytest.mark.parametrize("source", ["_(name)", '_(f"{x}")', '_("a" if b else "c")', '_n("{n} a", many, 2)', "_()"])
def test_a_text_that_cannot_be_collected_is_refused(source: str) -> None:
    with pytest.raises(texts.NotLiteral):
        list(texts.in_python(source))
    if not source.startswith("_(f"):
        with pytest.raises(texts.NotLiteral):
            list(texts.in_template("{{ " + source + " }}"))


def test_a_text_with_a_noun_is_collected_for_each_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_all", lambda leaves: iter([("{n} new {noun}", "{n} new {nouns}")]))

    assert texts.collected() == {
        "{n} new {noun}": "{n} new {nouns}",
        "{n} new page": "{n} new pages",
        "{n} new work package": "{n} new work packages",
    }


def test_the_texts_of_the_leaves_are_collected() -> None:
    found = texts.collected()

    assert {"page", "pages", "Space", "Unassigned", "Due date", "Client secret"} <= set(found)
    for leaf in texts.own_leaves():
        assert set(texts_of(leaf.descriptor)) <= set(found)
        assert leaf.descriptor.upstream not in found


def test_a_text_with_and_without_a_number_is_refused() -> None:
    collected = {"page": "pages"}

    with pytest.raises(texts.Ambiguous):
        texts._add(collected, "page", "")


def test_a_catalogue_keeps_what_is_the_same_and_guesses_nothing(tmp_path: Path) -> None:
    old = Catalog(locale="nl")
    for one, string in (("Kept", "Behouden"), ("Removed", "Weg"), (("{n} a", "{n} b"), ("{n} x", "{n} y"))):
        old.add(one, string)

    new = texts.updated(old, {"Kept": "", "Kept too": "", "{n} a": "{n} c"}, "nl")
    texts.write(new, tmp_path / "nl.po", "nl")
    again = texts.read(tmp_path / "nl.po", "nl")

    assert again.get("Kept").string == "Behouden"
    assert texts.missing(again) == ["Kept too", ["{n} a", "{n} c"]]
    assert "Removed" not in (tmp_path / "nl.po").read_text("utf-8")


def test_translations_are_taken_from_a_mapping() -> None:
    catalogue = texts.updated(Catalog(locale="nl"), {"One": "", "{n} a": "{n} b"}, "nl")

    texts.apply(catalogue, {"One": "Een", "{n} a": ["{n} x", "{n} y"]})

    assert texts.missing(catalogue) == []
    for wrong in ({"Two": "Twee"}, {"{n} a": "x"}):
        with pytest.raises(KeyError):
            texts.apply(catalogue, wrong)
