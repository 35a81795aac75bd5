"""Hidden characters: which of them a text for people keeps, which it loses, and how agents see the rest."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panel.core.errors import InvalidInput
from panel.core.text import checked_line, is_plain, one_line, visible
from panel.web.mcp.tool import escaped, unescaped

WHOLE = [
    "👩‍👩‍👧‍👦 family", "🏳️‍🌈", "🏴‍☠️", "❤️‍🔥", "👁️‍🗨️", "🧑🏽‍❤️‍💋‍🧑🏿", "🙂‍↔️", "👩🏾‍🦰", "1️⃣ ©️ ™️ ☎︎", "\U0001fae8\u200d🙂",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "می\u200cخواهم", "کتاب\u200cهای", "PDF\u200cها", "۱۰\u200cها", "هـ\u200dه", "क्\u200dष", "क्\u200cष", "ന്\u200d", "ශ්\u200dරී", "র\u200d্য",
    "葛\U000e0100城", "\ufa10\ufe00", "ᠠ\u180b", "ᠨ\u180eᠠ", "\u06dd\u0601", "Verslag — Café, Ωmega 日本 العربية עברית", "Z̸̛͎a̷͙͝",
]  # fmt: skip

LOST = [
    ("a\U000e0041b", "ab"), ("tag\U000e0069\U000e0067", "tag"), ("🏴\U000e0069\U000e0067\U000e006e\U000e007f", "🏴"),
    ("🏴\U000e0067\U000e0062\U000e0065", "🏴"), ("z\u200bw\u2060x\u2064\ufeff", "zwx"), ("\u3164\u115f\u1160\uffa0x", "x"),
    ("a\ufff9b\ufffac\ufffb", "abc"), ("soft\u00adhyphen", "softhyphen"), ("\u202eevil\u2066\u200f\u061c", "evil"),
    ("a\u200db\u200cc", "abc"), ("سلام\u200c", "سلام"), ("می\u200c\u200cخ", "میخ"), ("\u200cس", "س"), ("👩\u200d x", "👩 x"),
    ("👩\u200d\u200d👩", "👩👩"), ("a\ufe0f", "a"), ("😀\ufe0f\ufe0f\U000e0151", "😀\ufe0f"), ("葛\U000e0151", "葛"), ("1\ufe0f", "1"),
    ("half \ud83d of it", "half of it"), ("x\x00\x1b[31m\x9b", "x[31m"), ("a\u034fb\u17b4", "ab"), ("a\u2028b\tc", "a b c"),
    ("a \u200b b", "a b"), ("\u3164\u200cس", "س"), ("\u180ex", "x"), ("🏴\u200b\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴"),
]  # fmt: skip

VISIBLE_FORMAT = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Format characters that have a shape: signs that stand around a number or a word."""

ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

MIXED = st.text(
    st.sampled_from("ab1# \n\t⟦⟧U+AD👩🏽🏴❤↔خم۱क्葛ᠠ\u20e3\u200b\u200c\u200d\ufe0e\ufe0f\u00ad\u3164\u202e\ud800\U000e0067\U000e007f\U000e0100\ue000")
    | st.characters(exclude_categories=()),
    max_size=60,
)  # fmt: skip


def marked(char: str) -> str:
    return f"<{ord(char):X}>"


@pytest.mark.parametrize("text", WHOLE)
def test_what_languages_and_emoji_need_stays_whole(text: str) -> None:
    assert one_line(text) == text
    assert escaped(text) == text
    assert visible(text, marked) == text


@pytest.mark.parametrize(("text", "line"), LOST)
def test_what_hides_is_left_out(text: str, line: str) -> None:
    assert one_line(text) == line
    assert not is_plain(text)


@pytest.mark.parametrize("text", WHOLE[:-3])
def test_a_sequence_that_is_cut_leaves_nothing_hidden(text: str) -> None:
    for length in range(len(text)):
        cut = one_line(text, length)
        assert len(cut) <= length
        assert visible(cut, marked) == cut


def test_every_format_and_control_character_without_a_shape_is_hidden() -> None:
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Cs") and code not in VISIBLE_FORMAT:
            assert one_line(f"a{char}b") in ("ab", "a b"), hex(code)
            assert visible(f"a{char}b", marked) == f"a<{code:X}>b", hex(code)


@given(MIXED)
def test_a_line_has_nothing_left_to_leave_out(text: str) -> None:
    line = one_line(text)

    assert one_line(line) == line
    assert visible(line, lambda char: char if unicodedata.category(char) == "Co" else marked(char)) == line


@given(MIXED)
def test_a_line_loses_no_character_that_can_be_seen(text: str) -> None:
    seen = [char for char in text if char.isalnum() and ord(char) not in (0x3164, 0x115F, 0x1160, 0xFFA0)]

    assert [char for char in one_line(text) if char.isalnum()] == seen


@given(MIXED)
def test_what_an_agent_is_shown_can_be_given_back(text: str) -> None:
    assert unescaped(escaped(text)) == text


@given(MIXED)
def test_an_agent_is_shown_no_hidden_character_out_of_its_place(text: str) -> None:
    left = {char for char in escaped(text) if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}

    assert left - set(map(chr, VISIBLE_FORMAT)) <= {*"\n\t\u200c\u200d\u180e", *ENGLAND}


@pytest.mark.parametrize("name", ["Boss\u3164", "Boss\u200b", "Bo\u00adss", "a\U000e0041", "a\nb", "half\ud800", ""])
def test_a_name_with_something_hidden_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        checked_line("name", name, 200)


@pytest.mark.parametrize("name", ["می\u200cخواهم", "Team 👩‍👩‍👧‍👦", "two  blanks"])
def test_a_name_may_hold_what_its_language_needs(name: str) -> None:
    assert checked_line("name", f" {name} ", 200) == name
