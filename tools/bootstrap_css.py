"""Write the part of Bootstrap's CSS that the pages use: `make css`.

A rule is kept if templates or scripts name every class of its selector; rules without a class are always kept, since
the row template of a leaf may contain any element. Custom properties that no kept rule and no stylesheet of the panel
reads are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import flask_bootstrap

ROOT = Path(__file__).parent.parent
WHOLE = Path(flask_bootstrap.__file__).parent / "static" / "bootstrap5" / "css" / "bootstrap.min.css"
WRITTEN = ROOT / "panel" / "static" / "bootstrap" / "bootstrap.css"
STYLESHEETS = tuple(ROOT / "panel" / "static" / name for name in ("leafpanel.css", "admin.css"))
NOTE = "/* The rules that the pages of Leafpanel use, written by `make css`. Licence: LICENSE beside this file. */"

CLASS_ATTRIBUTE = re.compile(r'\bclass="([^"]*)"')
CLASS_IN_SCRIPT = re.compile(r"""\bclass(?:Name\s*=|List\.\w+\()\s*["'`]([^"'`]*)""")
WORD = re.compile(r"[\w-]+")
EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
QUOTED = re.compile(r"'([^']*)'")
ASSEMBLED = re.compile(r"([\w-]*-)\{\{")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
NEGATION = re.compile(r":not\([^()]*\)")
PROPERTY = re.compile(r"(--[\w-]+)\s*:")
READ = re.compile(r"var\((--[\w-]+)")
ANIMATION = re.compile(r"animation(?:-name)?:([^;}]*)")


class AssembledClass(ValueError):
    """A template puts the name of a Bootstrap class together, so that it stands nowhere in full."""


@dataclass(frozen=True)
class Block:
    """``head{body}``; ``inner`` are the rules of an at-rule with conditions."""

    head: str
    body: str
    inner: tuple[Block, ...] = ()

    def __str__(self) -> str:
        return f"{self.head}{{{''.join(map(str, self.inner)) or self.body}}}"


def main() -> None:
    WRITTEN.write_text(subset(), "utf-8")


def subset() -> str:
    whole = WHOLE.read_text("utf-8")
    licence = whole[whole.index("/*!") : whole.index("*/") + 2]
    blocks = list(selected(parsed(whole), used_classes(whole)))
    kept = without_unread(blocks, "".join(path.read_text("utf-8") for path in STYLESHEETS))
    return "\n".join(['@charset "UTF-8";', licence, NOTE, *map(str, kept), ""])


# --- which classes are used ------------------------------------------------------------------------------------------


def used_classes(whole: str) -> frozenset[str]:
    """The words in class attributes and in scripts that set classes. Too many cost a rule, and too few break a page.

    Raises AssembledClass.
    """
    known = frozenset(CLASS.findall(whole))
    templates = texts("panel/templates", "*.html") + texts("panel/integrations", "*.html")
    attributes = [value for text in templates for value in CLASS_ATTRIBUTE.findall(text)]
    for prefix in (found for value in attributes for found in ASSEMBLED.findall(value)):
        if any(name.startswith(prefix) for name in known):
            raise AssembledClass(f"class names that start with {prefix} are put together in a template")
    scripted = [value for text in texts("panel/static", "*.js") for value in CLASS_IN_SCRIPT.findall(text)]
    named = [EXPRESSION.sub(_quoted_words, value) for value in attributes] + scripted
    return known & {word for value in named for word in WORD.findall(value)}


def _quoted_words(expression: re.Match[str]) -> str:
    """The strings of an expression: of its names none is a class."""
    return " ".join(QUOTED.findall(expression[0]))


def texts(folder: str, pattern: str) -> list[str]:
    return [path.read_text("utf-8") for path in sorted((ROOT / folder).rglob(pattern)) if "vendor" not in path.parts]


# --- which rules are kept --------------------------------------------------------------------------------------------


def parsed(css: str) -> Iterator[Block]:
    """The rules of minified CSS. A brace in a string does not occur in Bootstrap's."""
    css = re.sub(r"/\*.*?\*/|@charset[^;]*;", "", css, flags=re.DOTALL)
    start = 0
    while start < len(css.rstrip()):
        opened = css.index("{", start)
        end = closing(css, opened)
        head, body = css[start:opened].strip(), css[opened + 1 : end]
        yield Block(head, body, tuple(parsed(body)) if head.startswith(("@media", "@supports")) else ())
        start = end + 1


def closing(css: str, opened: int) -> int:
    depth = 0
    for at in range(opened, len(css)):
        depth += {"{": 1, "}": -1}.get(css[at], 0)
        if depth == 0:
            return at
    raise ValueError("a brace is not closed")


def selected(blocks: Iterable[Block], classes: frozenset[str]) -> Iterator[Block]:
    blocks = list(blocks)
    for block in blocks:
        if block.inner:
            if inner := tuple(selected(block.inner, classes)):
                yield Block(block.head, "", inner)
        elif block.head.startswith("@keyframes"):
            yield block
        elif head := ",".join(one for one in selectors(block.head) if is_used(one, classes)):
            yield Block(head, block.body)


def selectors(head: str) -> list[str]:
    """The selectors of a list; commas within parentheses do not separate."""
    return re.split(r",(?![^()]*\))", head)


def is_used(selector: str, classes: frozenset[str]) -> bool:
    return set(CLASS.findall(NEGATION.sub("", selector))) <= classes


# --- which declarations are kept -------------------------------------------------------------------------------------


def without_unread(blocks: list[Block], stylesheets: str) -> list[Block]:
    """Leave out custom properties and animations that nothing reads, until all that is left is read."""
    while True:
        text = "".join(map(str, blocks)) + stylesheets
        read, animations = frozenset(READ.findall(text)), " ".join(ANIMATION.findall(text))
        kept = [found for block in blocks if (found := _read_part(block, read.__contains__, animations))]
        if kept == blocks:
            return kept
        blocks = kept


def _read_part(block: Block, is_read: Callable[[str], bool], animations: str) -> Block | None:
    if block.inner:
        inner = tuple(found for one in block.inner if (found := _read_part(one, is_read, animations)))
        return Block(block.head, "", inner) if inner else None
    if block.head.startswith("@keyframes"):
        return block if block.head.split()[1] in animations else None
    lines = declarations(block.body)
    body = ";".join(one for one in lines if not (named := PROPERTY.match(one)) or is_read(named[1]))
    return Block(block.head, body) if body else None


def declarations(body: str) -> list[str]:
    """The declarations of a rule; a semicolon in the string of an address does not separate."""
    return [one for one in re.split(r""";(?=(?:[^"]*"[^"]*")*[^"]*$)""", body) if one]


if __name__ == "__main__":
    main()
