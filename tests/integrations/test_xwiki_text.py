"""Titles and previews: markup from xWiki becomes plain text, and no macro is executed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panel.integrations.xwiki.text import from_xhtml, preview, shortened

XWIKI = "xwiki/2.1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Sub &amp; Co", "Sub & Co"),
        ("<p>An <em>old</em> page</p>", "An old page"),
        ("<script>alert(1)</script>Home", "Home"),
        ("&lt;b&gt;", "<b>"),
        ("a < b", "a < b"),
        (" two\n lines\t", "two lines"),
        ("bell\x07 \u202egnp.exe", "bell gnp.exe"),
        ("half \ud800", "half"),
    ],
)
def test_xhtml_becomes_plain_text(value: str, text: str) -> None:
    assert from_xhtml(value) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("= Title =\n\nSome **bold**, //slanted//, __lined__ text.", "Title Some bold, slanted, lined text."),
        ("{{velocity}}$doc.secret{{/velocity}}After", "After"),
        ("{{groovy}}println 1{{/groovy}}{{python}}1{{/python}}{{html}}<b>{{/html}}{{display reference='A'/}}x", "x"),
        ("{{groovy}}never closed", None),
        ('{{html clean="}}"}}<script>{{/html}}ok', "ok"),
        ("{{async}}{{velocity}}1{{/velocity}}{{/async}}y", "y"),
        ("{{html}}a{{html}}b{{/html}}c{{/html}}d", "d"),
        ("{{info}}Mind the **step**.{{/info}} Then", "Mind the step. Then"),
        ('{{toc/}}{{children depth="2" /}}Text', "Text"),
        ('(% class="red" %)Red(%%) and (((\nboxed\n)))', "Red and boxed"),
        ('[[The page>>doc:Space.Page||anchor="x"]] and [[Space.Other Page]]', "The page and Other Page"),
        ("[[https://example.org/a//b]] [[Dev.Sub.WebHome]]", "https://example.org/a//b Sub"),
        ("[[image:plan.png]] [[[[image:a.png]]>>Space.Page]] image:b.png plan", "plan"),
        ("* one\n** two\n1. three\n; term\n: meaning\n> said", "one two three term meaning said"),
        ("|=What|=Who\n|Drawing|P. Smit", "What Who Drawing P. Smit"),
        ("before\n----\nafter", "before after"),
        ("{{{**kept** {{velocity}}}}} ~{~{so is this}} ~~", "**kept** {{velocity}} {{so is this}} ~"),
        ("2020 -- 2021 and --struck--", "2020 -- 2021 and struck"),
        ("an {{unfinished", "an {{unfinished"),
        ("a [[loose end", "a [[loose end"),
        ("", None),
        ("{{toc/}}", None),
    ],
)
def test_preview_of_xwikis_own_syntax(source: str, text: str | None) -> None:
    assert preview(source, XWIKI) == text


@pytest.mark.parametrize(
    ("source", "syntax", "text"),
    [
        (
            "# Head\n\n- a **b** [link](http://x) ![pic](y) `code`\n\n{{velocity}}$x{{/velocity}}",
            "markdown/1.2",
            "Head a b link code",
        ),
        ("<b>x</b> &amp; snake_case", "markdown/1.2", "x & snake_case"),
        ("as **it** {{is}}", "plain/1.0", "as **it** {{is}}"),
        ("<p>no</p>", "html/5.0", None),
        ("1 Old", "xwiki/1.0", None),
        ("text", None, None),
        (None, XWIKI, None),
    ],
)
def test_preview_of_other_syntaxes(source: object, syntax: object, text: str | None) -> None:
    assert preview(source, syntax) == text


def test_preview_is_cut_after_a_word() -> None:
    text = preview("word " * 1000, XWIKI)

    assert text is not None
    assert len(text) <= 500
    assert text.endswith("word…")


@pytest.mark.parametrize(
    ("text", "cut"), [("abc def", "abc def"), ("abc def gh", "abc def…"), ("abcdefghij", "abcdefg…")]
)
def test_shortened_text_stays_within_the_limit(text: str, cut: str) -> None:
    assert shortened(text, 8) == cut


@given(st.text(alphabet="{}[]()%~|=*>/ \nabvelocity", max_size=300))
def test_any_source_gives_text_or_none(source: str) -> None:
    text = preview(source, XWIKI)

    assert text is None or 0 < len(text) <= 500


@pytest.mark.parametrize(
    "source",
    ["{{a", "{{a}}", "[[", "(%", "{{{", "~", "*", "= ", '{{a "', "{{a}}{{a ", "<", "[", "- ", "(((", "{{info}}"],
)
@pytest.mark.parametrize("syntax", [XWIKI, "markdown/1.2"])
def test_hostile_sources_take_little_time(source: str, syntax: str) -> None:
    started = time.process_time()

    preview(source * (5_000_000 // len(source)), syntax)

    assert time.process_time() - started < 1
