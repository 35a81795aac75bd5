"""Texts for people keep their template, and are shown in the language of the reader."""

from __future__ import annotations

import pickle

import pytest
from markupsafe import Markup

from panel.core.errors import InvalidInput
from panel.core.messages import _, _n, sentences
from panel.web import translations
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
