"""Finds what a typed or pasted text names: addresses and references, each with the leaf that can look it up.

No request is made. An address belongs to the leaf whose source has it; one of another host belongs to none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from panel.connector import SourceConfig, is_same_host
from panel.core.text import trimmed
from panel.integrations.contract import Integration

MOST_NAMED = 50
"""How many items one text names at most."""

_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_CLOSING = {")": "(", "]": "[", "}": "{"}
_PUNCTUATION = ".,;:!?'’”»"
_BETWEEN = (re.compile(r"\s*[,;\n]\s*"), re.compile(r"[\s,;]+"))
"""What stands between references of a list: a comma, or else a blank too."""

Known = tuple[Integration, SourceConfig | None]
"""A leaf and its source; None where it has none that is valid."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a text names, in the order of the text."""

    by_leaf: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the id of a leaf, what it can look up. An address that two sources may have is with both."""
    unknown: Sequence[str] = ()
    """Addresses that no source has."""
    has_addresses: bool = False
    """Whether the text has addresses, so that it is not words to search for."""

    @property
    def number(self) -> int:
        """How many items the text names, in all leaves together."""
        return len({text for texts in self.by_leaf.values() for text in texts})

    def of(self, leaf: Integration) -> Sequence[str]:
        return self.by_leaf.get(leaf.id, ())


def named_in(text: str, known: Sequence[Known], usable: Callable[[Integration], bool] = lambda leaf: True) -> Named:
    """The items that a text names: those of its addresses, else the reference or the references that it is.

    An address that only a leaf has which is not ``usable`` is unknown.
    """
    words = trimmed(text)
    addresses = [] if _is_link(words) else list(dict.fromkeys(_addresses(words, known)))[:MOST_NAMED]
    if addresses:
        return _of_addresses(addresses, known, usable)
    if not words:
        return Named()
    known = [(leaf, source) for leaf, source in known if usable(leaf)]
    return _references([words], known) or _listed(words, known) or Named()


def _is_link(words: str) -> bool:
    """Whether it is one link of the wiki syntax, whose label may have anything in it."""
    return words.startswith("[[") and words.endswith("]]") and "]]" not in words[:-2]


# --- addresses -------------------------------------------------------------------------------------------------------


def _addresses(words: str, known: Sequence[Known]) -> Iterator[str]:
    if _ADDRESS.fullmatch(words):
        # Alone, so that its last character belongs to it.
        yield words
        return
    schemes = {_host(source.root): urlsplit(source.root).scheme for _, source in known if source is not None}
    for word in words.replace("<", " ").replace(">", " ").split():
        found = _ADDRESS.search(word)
        if found is not None:
            yield _without_end(found[0])
        elif (bare := word.lstrip("([\"'„“«")).partition("/")[0].casefold() in schemes and "/" in bare:
            yield f"{schemes[bare.partition('/')[0].casefold()]}://{_without_end(bare)}"


def _host(root: str) -> str:
    return urlsplit(root).netloc.casefold()


def _without_end(address: str) -> str:
    """The address without the punctuation of the sentence around it."""
    while address:
        last = address[-1]
        closes = last in _CLOSING and address.count(last) > address.count(_CLOSING[last])
        if last not in _PUNCTUATION and not closes:
            break
        address = address[:-1]
    return address


def _of_addresses(addresses: Sequence[str], known: Sequence[Known], usable: Callable[[Integration], bool]) -> Named:
    by_leaf: dict[str, list[str]] = {}
    unknown = []
    for address in addresses:
        owners = [leaf for leaf in owners_of(address, known) if usable(leaf)]
        if not owners:
            unknown.append(address)
        for leaf in owners:
            by_leaf.setdefault(leaf.id, []).append(address)
    return Named(by_leaf, unknown, has_addresses=True)


def owners_of(address: str, known: Sequence[Known]) -> list[Integration]:
    """The leaf whose source has the address below its root; else those on its host, which may have short addresses."""
    on_host = [(leaf, source) for leaf, source in known if source is not None and _same_host(address, source.root)]
    path = urlsplit(address).path if on_host else ""
    inside = [(leaf, _path(source)) for leaf, source in on_host if f"{path}/".startswith(f"{_path(source)}/")]
    if inside:
        longest = max(len(base) for _, base in inside)
        return [leaf for leaf, base in inside if len(base) == longest]
    return [leaf for leaf, _ in on_host]


def _path(source: SourceConfig) -> str:
    return urlsplit(source.root).path.rstrip("/")


def _same_host(address: str, root: str) -> bool:
    try:
        return is_same_host(address, root)
    except ValueError:
        return False


# --- references ------------------------------------------------------------------------------------------------------


def _references(texts: Sequence[str], known: Sequence[Known]) -> Named | None:
    """The references, if every one of the texts is one to some leaf."""
    by_leaf: dict[str, list[str]] = {}
    for text in texts:
        leaves = [leaf for leaf, source in known if source is not None and leaf.looks_like_reference(source, text)]
        if not leaves:
            return None
        for leaf in leaves:
            by_leaf.setdefault(leaf.id, []).append(text)
    return Named(by_leaf)


def _listed(words: str, known: Sequence[Known]) -> Named | None:
    for between in _BETWEEN:
        texts = list(dict.fromkeys(part for part in between.split(words) if part))
        if 1 < len(texts) <= MOST_NAMED and (found := _references(texts, known)):
            return found
    return None
