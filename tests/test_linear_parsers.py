"""Parsers of what users send: twice the text costs about twice the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from panel.accounts.embed_tokens import unverified
from panel.core.errors import PanelError
from panel.core.text import is_plain, one_line, trimmed, visible
from panel.integrations.openproject import reference as work_packages
from panel.integrations.xwiki import create, pasted, text
from panel.integrations.xwiki import reference as pages
from panel.web.admin.source_form import read_headers
from panel.web.mcp.tool import unescaped

LENGTH = 2**16
REPEATS = 3
ALLOWED_RATIO = 3.0
NOTICED_S = 0.04
"""Below this, a measurement says more about the machine than about the parser."""

TEXTS: dict[str, Callable[[int], str]] = {
    "letters": lambda length: "a" * length,
    "pairs": lambda length: "a." * (length // 2),
    "dots": lambda length: "." * length,
    "backslashes": lambda length: "\\" * length,
    "blanks": lambda length: f"a{' ' * length}b",
    "digits": lambda length: "0" * length + "x",
    "short name": lambda length: "A" * length,
    "segments": lambda length: "https://wiki.example.org/xwiki/" + "a/" * (length // 2),
    "pages": lambda length: "https://wiki.example.org/" + "projects/" * (length // 9),
    "escapes": lambda length: "https://wiki.example.org/" + "%41" * (length // 3),
    "hosts": lambda length: "https://" + "a." * (length // 2),
    "hidden": lambda length: "\u200b" * (length // 2) + "a" + "\u200b" * (length // 2),
    "wiki link": lambda length: "[[" + ">>" * (length // 4) + "||" * (length // 4) + "]]",
    "path": lambda length: "a/" * (length // 2),
    "joiners": lambda length: "\U0001f600\u200d" * (length // 2),
    "lines": lambda length: "".join(f"a{number}: b\n" for number in range(length // 10)),
    "braces": lambda length: "{" * length,
    "brackets": lambda length: "⟦U+00AD" * (length // 7),
    "script": lambda length: "$!{" * (length // 3),
}
PARSERS: dict[str, Callable[[str], object]] = {
    "page reference": lambda typed: pasted.parse_pasted(typed, "https://wiki.example.org/xwiki", "xwiki"),
    "names of a page": pages.split_names,
    "looks like a page": lambda typed: pages.looks_like_reference(typed, "xwiki"),
    "root of a wiki": pages.instance_root,
    "work package": lambda typed: work_packages.work_package_in(typed, "https://wiki.example.org"),
    "looks like a work package": work_packages.looks_like_reference,
    "root of a tracker": work_packages.instance_root,
    "space": lambda typed: create._spaces({"space": typed}, "xwiki"),
    "title": lambda typed: create._title({"title": typed}),
    "content": create._without_macros,
    "plain text": text.from_xhtml,
    "preview": lambda typed: text.preview(typed, "xwiki/2.1"),
    "preview of Markdown": lambda typed: text.preview(typed, "markdown/1.2"),
    "one line": one_line,
    "trimmed": trimmed,
    "visible text": lambda typed: visible(typed, str),
    "plain name": is_plain,
    "headers": read_headers,
    "embed token": unverified,
    "escaped reference": unescaped,
}


def cost(parse: Callable[[str], object], typed: str) -> float:
    """The least processor seconds of some runs."""
    costs = []
    for _ in range(REPEATS):
        started = time.thread_time()
        with suppress(PanelError):
            parse(typed)
        costs.append(time.thread_time() - started)
    return min(costs)


@pytest.mark.parametrize("parser", PARSERS)
def test_twice_the_text_costs_no_more_than_three_times_as_much(parser: str) -> None:
    parse = PARSERS[parser]

    for make in TEXTS.values():
        once, twice = cost(parse, make(LENGTH)), cost(parse, make(2 * LENGTH))

        assert twice <= max(ALLOWED_RATIO * once, NOTICED_S), (make(20), once, twice)
