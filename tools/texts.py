"""Collect the texts for people and keep the catalogues of their translations complete: `make texts`.

Texts stand in calls of ``_`` and ``_n`` in Python and in templates, and in the YAML of the leaves. A text with the noun
of a leaf is collected as it is, and with the nouns of each leaf of ours filled in.

    python tools/texts.py                    write the catalogues: new texts untranslated, removed ones left out
    python tools/texts.py --missing nl       print the texts without a translation as JSON
    python tools/texts.py --apply nl FILE    take translations from JSON: {msgid: msgstr or [one, many]}
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes

from panel.integrations.contract import Integration
from panel.integrations.descriptor import texts_of
from panel.integrations.registry import load_registry

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "panel"
FOLDER = PACKAGE / "translations"
LANGUAGES = ("nl", "de")
FORMS: Mapping[str, int] = {"_": 1, "_n": 2}
"""The functions that take a text, with the number of its forms."""
ENGLISH_ONLY = ("sandbox",)
"""Folders of the package whose texts nobody reads in another language."""
HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""

Texts = dict[str, str]
"""Texts with their form for several, which is "" for a text without a number."""


class Ambiguous(Exception):
    """One text stands in ``_`` and in ``_n``, or in ``_n`` with two forms for several."""


class NotLiteral(Exception):
    """A call of ``_`` or ``_n`` has a computed text, which cannot be collected."""


@dataclass(frozen=True)
class Nouns:
    """The words of a leaf for its items."""

    noun: str
    nouns: str

    def fill(self, text: str) -> str:
        return text.replace("{noun}", self.noun).replace("{nouns}", self.nouns)


def own_leaves() -> list[Integration]:
    """The leaves of the panel itself, without those of installed packages."""
    return [leaf for leaf in load_registry().all() if leaf.folder and leaf.folder.is_relative_to(PACKAGE)]


# --- collecting ------------------------------------------------------------------------------------------------------


def collected() -> Texts:
    """Every text of the panel. Raises Ambiguous and NotLiteral."""
    leaves = own_leaves()
    nouns = [Nouns(str(leaf.descriptor.noun), str(leaf.descriptor.noun_plural)) for leaf in leaves]
    texts: Texts = {}
    for one, many in _all(leaves):
        for form, forms in ((one, many), *((each.fill(one), each.fill(many)) for each in nouns)):
            _add(texts, form, forms)
    return texts


def _add(texts: Texts, one: str, many: str) -> None:
    if texts.setdefault(one, many) != many:
        raise Ambiguous(f"{one!r} stands for {texts[one]!r} and for {many!r} of several.")


def _all(leaves: Iterable[Integration]) -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in ENGLISH_ONLY:
            yield from in_python(path.read_text("utf-8"), str(path))
    for path in sorted(PACKAGE.rglob("*.html")):
        yield from in_template(path.read_text("utf-8"), str(path))
    for leaf in leaves:
        yield from ((str(text), "") for text in texts_of(leaf.descriptor))


def in_python(source: str, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a module, also of calls within calls. Raises NotLiteral."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORMS:
            given = [entry.value if isinstance(entry, ast.Constant) else None for entry in node.args]
            yield _text_of(node.func.id, given, f"{path}:{node.lineno}")


def in_template(source: str, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a template. Raises NotLiteral and TemplateSyntaxError."""
    for node in Environment(autoescape=True).parse(source).find_all(nodes.Call):
        if isinstance(node.node, nodes.Name) and node.node.name in FORMS:
            given = [entry.value if isinstance(entry, nodes.Const) else None for entry in node.args]
            yield _text_of(node.node.name, given, f"{path}:{node.lineno}")


def _text_of(function: str, given: Sequence[object], place: str) -> tuple[str, str]:
    literals = given[: FORMS[function]]
    if len(literals) < FORMS[function] or not all(isinstance(literal, str) and literal for literal in literals):
        raise NotLiteral(f"{place}: the text does not stand in the call of {function} itself.")
    one, many = (str(literals[0]), str(literals[1])) if function == "_n" else (str(literals[0]), "")
    return one, many


# --- catalogues ------------------------------------------------------------------------------------------------------


def path_of(language: str, folder: Path = FOLDER) -> Path:
    return folder / language / "LC_MESSAGES" / "messages.po"


def read(path: Path, language: str) -> Catalog:
    """The catalogue of a file; an empty one if there is none."""
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def updated(old: Catalog, texts: Texts, language: str) -> Catalog:
    """A catalogue of these texts, with the translations of the old one where a text is the same in all its forms."""
    new = Catalog(locale=language)
    for one, many in texts.items():
        ids = (one, many) if many else one
        known = old.get(one)
        string = known.string if known is not None and known.id == ids else None
        new.add(ids, string or (("", "") if many else ""))
    return new


def write(catalogue: Catalog, path: Path, language: str) -> None:
    """Without places and dates, so that a change of a text changes that text only."""
    body = BytesIO()
    write_po(body, catalogue, width=0, no_location=True, omit_header=True, sort_output=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER.format(language=language).encode() + body.getvalue().rstrip(b"\n") + b"\n")


def missing(catalogue: Catalog) -> list[str | list[str]]:
    """The texts without a complete translation; those about a number with both forms."""
    found = []
    for message in catalogue:
        strings = message.string if isinstance(message.string, list | tuple) else (message.string,)
        if message.id and not all(strings):
            found.append(list(message.id) if isinstance(message.id, tuple) else message.id)
    return sorted(found, key=str)


def apply(catalogue: Catalog, given: Mapping[str, str | list[str]]) -> None:
    """Put translations into a catalogue. Raises KeyError for a text that it does not have."""
    for one, string in given.items():
        message = catalogue.get(one)
        if message is None or isinstance(message.id, tuple) != isinstance(string, list):
            raise KeyError(one)
        message.string = tuple(string) if isinstance(string, list) else string


# --- command ---------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", metavar="LANG", choices=LANGUAGES)
    parser.add_argument("--apply", metavar=("LANG", "FILE"), nargs=2)
    arguments = parser.parse_args()
    texts = collected()
    given = {arguments.apply[0]: json.loads(Path(arguments.apply[1]).read_text("utf-8"))} if arguments.apply else {}
    for language in LANGUAGES:
        path = path_of(language)
        catalogue = updated(read(path, language), texts, language)
        apply(catalogue, given.get(language, {}))
        write(catalogue, path, language)
        if language == arguments.missing:
            print(json.dumps(missing(catalogue), ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
