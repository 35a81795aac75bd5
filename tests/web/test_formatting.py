"""How dates, counts, trails and references read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from markupsafe import Markup

from panel.integrations.registry import load_registry
from panel.web import formatting

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_noon() -> object:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.parametrize(
    ("back", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(minutes=60), "1 hour ago"),
        (timedelta(hours=2, minutes=50), "2 hours ago"),
        (timedelta(hours=24), "1 day ago"),
        (timedelta(days=6, hours=23), "6 days ago"),
        (timedelta(days=42), "12 Oct 2026"),
    ],
)
def test_says_how_long_ago_something_changed(back: timedelta, said: str) -> None:
    assert formatting.ago(NOON - back) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [("2026-12-04", "Due 4 Dec"), ("2027-01-02", "Due 2 Jan 2027"), ("someday", ""), ("", ""), (None, "")],
)
def test_says_when_something_is_due(value: str | None, said: str) -> None:
    assert formatting.due(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-11-20", "3 days overdue"),
        ("2026-11-22", "1 day overdue"),
        ("2026-11-23", ""),
        ("2026-12-04", ""),
        (None, ""),
        ("no date", ""),
    ],
)
def test_something_is_overdue_from_the_day_after(value: str | None, said: str) -> None:
    assert formatting.overdue(value) == said


def test_a_short_day_is_told_of_moments_days_and_texts() -> None:
    assert (
        formatting.short_day(NOON)
        == formatting.short_day(date(2026, 11, 23))
        == formatting.short_day("2026-11-23")
        == "23 Nov"
    )


@pytest.mark.parametrize(("number", "said"), [(0, "0 pages"), (1, "1 page"), (5, "5 pages"), (1200, "1,200 pages")])
def test_counts_things_by_their_noun(number: int, said: str) -> None:
    assert formatting.counted(number, "page", "pages") == said


def test_joins_a_trail() -> None:
    assert formatting.breadcrumb(["Beleid", "Welstand"]) == "Beleid › Welstand"


def test_shows_a_reference_as_people_read_it() -> None:
    registry = load_registry()

    assert formatting.short_reference("xwiki:Space.Page.WebHome", registry.get("xwiki")) == "Space › Page"
    assert formatting.short_reference(r"nl:07\. Space.Page", registry.get("xwiki")) == "07. Space · Page"
    assert formatting.short_reference("1528", registry.get("openproject")) == "#1528"


def test_clips_a_text_after_a_word() -> None:
    assert formatting.clip("short") == "short"
    assert formatting.clip("one two three four", 12) == "one two …"
    assert formatting.clip("a" * 300, 12) == "aaaaaaaaaaa …"


def test_marks_typed_words_and_nothing_of_it_is_markup() -> None:
    said = formatting.highlight("<i>Welstand</i> & dakkapel", "WELSTAND dak (")

    assert said == Markup("&lt;i&gt;<b>Welstand</b>&lt;/i&gt; &amp; <b>dak</b>kapel")


def test_marks_nothing_without_words() -> None:
    assert formatting.highlight("a < b", "") == Markup("a &lt; b")


@pytest.mark.parametrize(
    ("value", "color"),
    [("#C39B00", "#C39B00"), ("#abc", ""), ("red", ""), ('#C39B00"', ""), ("url(#x)", ""), (None, ""), (7, "")],
)
def test_only_a_plain_colour_is_a_colour(value: object, color: str) -> None:
    assert formatting.color(value) == color


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://wiki.example/a", "https://wiki.example/a"),
        ("HTTP://wiki.example/a", "HTTP://wiki.example/a"),
        ("javascript:alert(1)", ""),
        (" https://wiki.example", ""),
        ("//wiki.example", ""),
        ("data:text/html,x", ""),
        ("", ""),
    ],
)
def test_only_web_addresses_become_links(url: str, shown: str) -> None:
    assert formatting.web(url) == shown


def test_a_key_may_stand_in_an_id_whatever_the_reference() -> None:
    assert formatting.key(r"xwiki:07\. Dev.“A”.B C").isalnum()
    assert formatting.key("1528") != formatting.key("1529")


# --- in other languages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["12 Oct 2026", "16 Nov", "16 Nov 2025", "12 Oct 2026 14:06", "5.0 s", "1,200"]),
        ("nl", ["12 okt 2026", "16 nov", "16 nov 2025", "12 okt 2026 14:06", "5,0 s", "1.200"]),
        ("de", ["12. Okt. 2026", "16. Nov.", "16. Nov. 2025", "12. Okt. 2026 14:06", "5,0 s", "1.200"]),
    ],
)
def test_dates_and_numbers_speak_the_language_of_the_request(app: Flask, language: str, said: list[str]) -> None:
    moment = datetime(2026, 10, 12, 14, 6, tzinfo=UTC)
    with app.test_request_context("/", query_string={"lang": language, "tz": "UTC"}):
        assert said == [
            formatting.day(moment), formatting.short_day("2026-11-16"), formatting.short_day("2025-11-16"),
            formatting.clock(moment), formatting.duration(5000), formatting.count(1200),
        ]  # fmt: skip
