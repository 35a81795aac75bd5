"""The log shows what hides in its records."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from panel.core import log_text


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log_text.install()
    logging.getLogger("somebody.else").addHandler(handler)
    yield stream
    logging.getLogger("somebody.else").removeHandler(handler)


def test_a_log_line_shows_what_hides_and_keeps_languages_whole(written: io.StringIO) -> None:
    log = logging.getLogger("somebody.else")

    log.warning("a tag \U000e0041, %s and %s", "می\u200cخواهم 👩‍👩‍👧‍👦", "\x1b[31m\u202ered\nLP-0000-00 forged")

    line = "a tag \\U000e0041, می\u200cخواهم 👩‍👩‍👧‍👦 and \\x1b[31m\\u202ered\\nLP-0000-00 forged\n"
    assert written.getvalue() == line


def test_a_message_without_arguments_keeps_its_lines(written: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("one\ntwo\u200b")

    assert written.getvalue() == "one\ntwo\\u200b\n"


def test_a_traceback_shows_what_hides_in_an_exception(written: io.StringIO) -> None:
    try:
        raise ValueError("no \U000e0041\ud800 title")
    except ValueError:
        logging.getLogger("somebody.else").exception("failed")

    lines = written.getvalue().splitlines()
    assert lines[0] == "failed"
    assert lines[-1] == "ValueError: no \\U000e0041\\ud800 title"
