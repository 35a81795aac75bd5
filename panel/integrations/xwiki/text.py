"""Plain text from XHTML and from the source of a page.

Nothing is rendered and no macro runs. The result is text and never markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from selectolax.lexbor import LexborHTMLParser

from panel.core.text import one_line
from panel.integrations.xwiki.reference import split_names

PREVIEW_LENGTH = 500

_READ_AT_MOST = 40_000
"""Characters of a source that are read. A preview shows its beginning."""
_ENOUGH = 8 * PREVIEW_LENGTH

_TEXT_MACROS = frozenset(
    {"box", "column", "columns", "container", "error", "info", "message", "quote", "section", "success", "warning"}
)
"""Macros whose body is text. Other macros are dropped with their body."""

_MACRO = re.compile(r'\{\{(/?)([\w.:-]{1,60})((?:"[^"]{0,500}"|[^"}]|\}(?!\})){0,500}+)\}\}')
_XWIKI = re.compile(r"~|\{\{|\[\[|\(%|\(\(\(|\)\)\)")
_MACROS_ONLY = re.compile(r"\{\{")

_LONGEST_LINK = 2000
_DEEPEST = 3
"""Maximum depth of links inside labels of links."""
_LITERAL = 0xF0000
"""Offset of literal characters, which keeps them from the removal of marks; undone afterwards."""


def from_xhtml(xhtml: str) -> str:
    """One line of text, without elements and with entities resolved."""
    return one_line(_without_tags(xhtml) if "<" in xhtml or "&" in xhtml else xhtml)


def preview(source: object, syntax: object) -> str | None:
    """The beginning of a page as text, or None for a syntax that needs rendering."""
    if not isinstance(source, str) or not isinstance(syntax, str):
        return None
    readers: dict[str, Callable[[str], str]] = {"xwiki/2": _from_xwiki, "markdown": _from_markdown, "plain": str}
    reader = next((read for start, read in readers.items() if syntax.startswith(start)), None)
    if reader is None:
        return None
    return shortened(one_line(reader(_readable(source[:_READ_AT_MOST])))) or None


def shortened(text: str, length: int = PREVIEW_LENGTH) -> str:
    """At most ``length`` characters, cut after a word."""
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    if not text[length - 1].isspace():
        cut = cut.rpartition(" ")[0] or cut
    return f"{cut.rstrip()}…"


def _without_tags(html: str) -> str:
    body = LexborHTMLParser(html.encode("utf-8", "ignore")).body
    if body is None:
        return ""
    for node in body.css("script, style"):
        node.decompose()
    return body.text()


def _readable(source: str) -> str:
    """The source without characters above ``_LITERAL``."""
    return "".join(char for char in source if ord(char) < _LITERAL)


# --- xWiki's own syntax -------------------------------------------------------------------------------------------
# https://www.xwiki.org/xwiki/bin/view/Documentation/UserGuide/Features/XWikiSyntax/


def _from_xwiki(source: str) -> str:
    text = _PICTURE.sub("", _Reader(source, _XWIKI).text())
    lines = "\n".join(_bare_line(line) for line in text.splitlines())
    return _visible(_STYLE_MARKS.sub(lambda mark: " " if mark.group() == "\\\\" else "", lines))


class _Reader:
    """Reads a source once, from the left, and keeps its text. Line and style marks are removed later."""

    def __init__(self, source: str, marks: re.Pattern[str], depth: int = 0) -> None:
        self._source = source
        self._marks = marks
        self._depth = depth
        self._at = 0
        self._parts: list[str] = []
        self._length = 0

    def text(self) -> str:
        while self._at < len(self._source) and self._length < _ENOUGH:
            found = self._marks.search(self._source, self._at)
            self._keep(self._source[self._at : found.start() if found else None])
            self._at = found.end() if found else len(self._source)
            if found:
                self._read(found.group())
        return "".join(self._parts)[:_ENOUGH]

    def _keep(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _read(self, mark: str) -> None:
        if mark == "~":
            self._keep(_hidden(self._source[self._at : self._at + 1]))
            self._at += 1
        elif mark == "{{":
            self._read_braces()
        elif mark == "[[":
            self._read_link()
        elif mark == "(%":
            self._until("%)")

    def _read_braces(self) -> None:
        if self._source.startswith("{", self._at):
            self._at += 1
            self._keep(_hidden(self._until("}}}")))
            return
        macro = _MACRO.match(self._source, self._at - 2)
        if macro is None:
            self._keep(_hidden("{{"))
            return
        self._at = macro.end()
        closing, name, parameters = macro.groups()
        stands_alone = closing or parameters.endswith("/")
        if not stands_alone and name.lower() not in _TEXT_MACROS:
            self._skip_body(name)

    def _skip_body(self, name: str) -> None:
        """Skip to the end of the macro. A macro that is not closed extends to the end of the source."""
        still_open = 1
        for mark in re.finditer(rf"\{{\{{/?{re.escape(name)}(?=[\s/}}])", self._source[self._at :]):
            macro = _MACRO.match(self._source, self._at + mark.start())
            if macro is None or macro[3].endswith("/"):
                continue
            still_open += -1 if macro[1] else 1
            if not still_open:
                self._at = macro.end()
                return
        self._at = len(self._source)

    def _read_link(self) -> None:
        """Read ``[[label>>target||parameters]]`` as its label, and an image as nothing."""
        inner = self._inside_link()
        if inner is None:
            self._keep("[[")
            return
        label, arrow, target = inner.rpartition(">>")
        shown = label if arrow else _shown_target(target)
        self._keep(_Reader(shown, self._marks, self._depth + 1).text() if self._depth < _DEEPEST else shown)

    def _inside_link(self) -> str | None:
        still_open = 1
        for mark in re.finditer(r"\[\[|\]\]", self._source[self._at : self._at + _LONGEST_LINK]):
            still_open += 1 if mark.group() == "[[" else -1
            if not still_open:
                inner = self._source[self._at : self._at + mark.start()]
                self._at += mark.end()
                return inner
            if still_open > _DEEPEST:
                break
        return None

    def _until(self, end: str) -> str:
        """Return the text before ``end`` and skip it; the rest of the source if there is no ``end``."""
        inside, _, _ = self._source[self._at :].partition(end)
        self._at += len(inside) + len(end)
        return inside


def _shown_target(target: str) -> str:
    """The text of a link without a label: the name of the page, or the address."""
    reference = target.partition("||")[0].strip()
    if reference.startswith(("image:", "attach:")):
        return ""
    if "://" in reference or reference.startswith("mailto:"):
        return _hidden(reference.removeprefix("url:"))
    names = split_names(reference.removeprefix("doc:"))
    return _hidden(next((name for name in reversed(names) if name not in ("", "WebHome")), ""))


_PICTURE = re.compile(r"(?<!\w)image:\S+")
_LIST_MARK = re.compile(r"(?:[*#;:]+|\**1+\.)[ \t]+")
_CELL_MARK = re.compile(r"\|=?|!!=?|!=")
_STYLE_MARKS = re.compile(r"\*\*|__|\^\^|,,|##|(?<!:)//|\\\\|(?<=\S)--(?=\s|$)|(?:(?<=\s)|^)--(?=\S)", re.MULTILINE)


def _bare_line(line: str) -> str:
    """One line without marks of headings, rules, quotations, lists and tables."""
    text = line.strip().lstrip(">").lstrip()
    if text.startswith("=") or not text.strip("-"):
        return text.strip("=- \t")
    if text.startswith(("|", "!!", "!=")):
        return _CELL_MARK.sub(" ", text)
    return _LIST_MARK.sub("", text) if _LIST_MARK.match(text) else text


def _hidden(text: str) -> str:
    return "".join(chr(_LITERAL + ord(char)) if ord(char) < 128 and not char.isspace() else char for char in text)


def _visible(text: str) -> str:
    return "".join(chr(ord(char) - _LITERAL) if ord(char) >= _LITERAL else char for char in text)


# --- Markdown -----------------------------------------------------------------------------------------------------

_MARKDOWN_MARKS = [
    (re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,1000}\)"), ""),
    (re.compile(r"\[([^\]\n]{0,500})\](?:\([^)\n]{0,1000}\)|\[[^\]\n]{0,200}\])"), r"\1"),
    (re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*+){3,}+$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}|[-*+]|\d{1,9}[.)]|>+)[ \t]+", re.MULTILINE), ""),
    (re.compile(r"\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|`+|~~"), ""),
    (re.compile(r"\\(?=[!-/:-@\[-`{-~])"), ""),
]


def _from_markdown(source: str) -> str:
    """Text of Markdown. xWiki also runs macros in Markdown, so they are dropped too."""
    text = _visible(_Reader(source, _MACROS_ONLY).text())
    text = _without_tags(text) if "<" in text or "&" in text else text
    for mark, instead in _MARKDOWN_MARKS:
        text = mark.sub(instead, text)
    return text
