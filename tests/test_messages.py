"""Texts for people keep their template, and are shown in the language of the reader."""

from __future__ import annotations

import json
import pickle

import pytest
from markupsafe import Markup
from sqlalchemy import create_engine, literal, select

from panel.core.errors import InvalidInput
from panel.core.messages import Day, _, _n, all_of, any_of, labelled, listed, sentences
from panel.sources.oauth_responses import NOT_RENEWABLE, why_ended
from panel.web import translations
from panel.web.auth.browser_name import browser_words
from panel.web.translations import translated

DUTCH = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Linked {title}."
msgstr "{title} is gekoppeld."

msgid "{n} {noun}"
msgid_plural "{n} {nouns}"
msgstr[0] "{n} {noun} (nl)"
msgstr[1] "{n} {nouns} (nl)"

msgid "{n} page"
msgid_plural "{n} pages"
msgstr[0] "{n} pagina"
msgstr[1] "{n} pagina’s"

msgid "Choose another {noun}"
msgstr "Kies: {noun}"

msgid "Choose another page"
msgstr "Kies een andere pagina"

msgid "“{name}” is missing."
msgstr "„{name}” ontbreekt."

msgid "Location"
msgstr "Adres"

msgid "{left} or {right}"
msgstr "{left} of {right}"

msgid "{left} and {right}"
msgstr "{left} en {right}"

msgid "Since {day}."
msgstr "Sinds {day}."

msgid "{browser} on {system}"
msgstr "{browser} op {system}"

msgid "Unknown browser"
msgstr "Onbekende browser"

msgid "The source is switched off."
msgstr "De bron is uitgeschakeld."
"""


@pytest.fixture(autouse=True)
def dutch(tmp_path, monkeypatch):
    folder = tmp_path / "nl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(DUTCH, "utf-8")
    monkeypatch.setattr(translations, "FOLDER", tmp_path)
    translations.catalogue.cache_clear()
    yield
    translations.catalogue.cache_clear()


def test_a_message_is_its_english_text():
    message = _("Linked {title}.", title="A {curly} page")
    assert message == "Linked A {curly} page."
    assert translated(message, "en") == message
    assert translated(message, "nl") == "A {curly} page is gekoppeld."


def test_a_text_without_a_translation_stays_english():
    assert translated(_("Nothing of this is in a catalogue."), "nl") == "Nothing of this is in a catalogue."
    assert translated("Linked {title}.", "nl") == "Linked {title}."


def test_a_noun_is_part_of_its_sentence_where_the_catalogue_has_that_sentence():
    assert translated(_("Choose another {noun}", noun="page"), "nl") == "Kies een andere pagina"
    assert translated(_("Choose another {noun}", noun="ticket"), "nl") == "Kies: ticket"


def test_a_number_chooses_the_form_and_has_separators():
    assert _n("{n} {noun}", "{n} {nouns}", 1200, noun="page", nouns="pages") == "1,200 pages"
    assert translated(_n("{n} {noun}", "{n} {nouns}", 1200, noun="page", nouns="pages"), "nl") == "1.200 pagina’s"
    assert translated(_n("{n} {noun}", "{n} {nouns}", 1, noun="page", nouns="pages"), "nl") == "1 pagina"
    assert translated(_n("{n} {noun}", "{n} {nouns}", 2, noun="ticket", nouns="tickets"), "nl") == "2 tickets (nl)"


def test_values_and_parts_are_translated_too():
    inner = _("The source is switched off.")
    assert translated(sentences(inner, "", _("Linked {title}.", title=inner)), "nl") == (
        "De bron is uitgeschakeld. De bron is uitgeschakeld. is gekoppeld."
    )


def test_values_are_filled_in_later():
    assert _("Linked {title}.").filled(title="Welstand") == "Linked Welstand."


def test_a_value_that_is_markup_stays_markup_and_others_are_escaped():
    shown = translated(_("Linked {title}.", title=Markup("<b>x</b>")), "nl")
    assert isinstance(shown, Markup)
    assert shown == "<b>x</b> is gekoppeld."
    assert translated(_("Linked {title}.", title="<b>x</b>"), "nl") == "<b>x</b> is gekoppeld."


def test_a_message_survives_pickling_and_an_exception():
    message = _n("{n} page", "{n} pages", 3)
    assert translated(pickle.loads(pickle.dumps(message)), "nl") == "3 pagina’s"
    assert (
        translated(InvalidInput("source", _("The source is switched off.")).message, "nl")
        == "De bron is uitgeschakeld."
    )


def test_a_label_stands_in_a_text_without_the_quotation_marks_of_a_name():
    message = labelled(_("“{name}” is missing.", name="location"), "location", _("Location"))
    assert message == "Location is missing."
    assert translated(message, "nl") == "Adres ontbreekt."
    assert labelled("“location” is missing.", "location", "Location") == "Location is missing."
    assert labelled(_("“{name}” is missing.", name="location"), "slug", "Slug") == "“location” is missing."


def test_lists_are_translated_with_their_words():
    assert any_of(["view"]) == "view"
    assert any_of(["view", "link", "create"]) == "view or link or create"
    assert translated(any_of(["view", "link", "create"]), "nl") == "view of link of create"
    assert translated(all_of(["::1", "127.0.0.1"]), "nl") == "::1 en 127.0.0.1"
    assert listed("", _("Linked {title}.", title="A"), "b") == "Linked A., b"
    assert translated(listed(_("Linked {title}.", title="A"), "b"), "nl") == "A is gekoppeld., b"


def test_a_day_is_written_in_the_language_of_the_reader():
    since = _("Since {day}.", day=Day(2026, 10, 4))
    assert since == "Since 4 Oct 2026."
    assert translated(since, "nl") == "Sinds 4 okt 2026."


def test_json_and_the_database_hold_the_english_text():
    message = _n("{n} page", "{n} pages", 3)
    assert json.dumps({"message": message}) == '{"message": "3 pages"}'
    with create_engine("sqlite://").connect() as connection:
        stored = connection.scalar(select(literal(message)))
    assert type(stored) is str
    assert stored == "3 pages"


def test_stored_sentences_can_be_translated_again():
    assert why_ended(str(NOT_RENEWABLE)) is NOT_RENEWABLE
    assert why_ended("An older sentence.") == "An older sentence."
    assert translated(browser_words("Firefox on Linux"), "nl") == "Firefox op Linux"
    assert translated(browser_words(""), "nl") == "Onbekende browser"
    assert browser_words("Unknown browser") == "Unknown browser"
    assert browser_words("Firefox") == "Firefox"
