"""Upstream text becomes one plain line, by the same rule in every leaf."""

from __future__ import annotations

import pytest

from panel.core.text import one_line
from panel.integrations.openproject.item import plain as from_openproject
from panel.integrations.xwiki.titles import line_of as from_xwiki


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("  two \n\t words\u00a0apart ", "two words apart"),
        ("abc\x00\x1b[31md", "abc[31md"),
        ("in\u202evoice\u2066.\u200fexe\u200e", "invoice.exe"),
        ("half \ud83d of it", "half of it"),
        ("Zaak \U0001f33f \u0627\u0644\u0639", "Zaak \U0001f33f \u0627\u0644\u0639"),
    ],
)
def test_text_is_one_plain_line(text: str, line: str) -> None:
    assert one_line(text) == from_openproject(text) == from_xwiki(text) == line
