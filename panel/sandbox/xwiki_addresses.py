"""Addresses that xWiki prints: of REST resources, and of pages in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from panel.sandbox.xwiki_page import HOME, WIKI, Reference

REL = "http://www.xwiki.org/rel/"

Bean = dict[str, Any]


def quoted(name: str) -> str:
    return quote(name, safe="")


def rest_spaces(spaces: Sequence[str]) -> str:
    return "".join(f"/spaces/{quoted(name)}" for name in spaces)


def joined_spaces(spaces: Sequence[str]) -> str:
    """Return the spaces of a link as some resources print it, without the ``spaces`` between them."""
    return "/spaces/" + "/".join(quoted(name) for name in spaces)


def link(rel: str, href: str) -> Bean:
    return {"href": href, "rel": rel if rel == "self" else f"{REL}{rel}", "type": None, "hrefLang": None}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Builds the addresses of one response."""

    base: str
    """The URL of the instance in this request: it has the host that the client used."""
    context: str
    """The path of ``base``; empty if xWiki is mounted at the server's root."""
    view_base: str
    """What the addresses of pages in the browser start with: ``http://host/xwiki/bin/view``, unless URLs are short."""
    links_lack_spaces: bool

    def rest(self, path: str) -> str:
        return f"{self.base}/rest{path}"

    def space(self, spaces: Sequence[str]) -> str:
        return self.rest(f"/wikis/{WIKI}{rest_spaces(spaces)}")

    def page(self, reference: Reference, tail: str = "") -> str:
        return f"{self.space(reference.spaces)}/pages/{quoted(reference.name)}{tail}"

    def linked_space(self, spaces: Sequence[str]) -> str:
        """The address of a space in a hit, which some servers print wrongly."""
        return self.joined_space(spaces) if self.links_lack_spaces else self.space(spaces)

    def linked_page(self, reference: Reference, tail: str = "") -> str:
        """The address of a page in a hit, the history or an object, which some servers print wrongly."""
        return f"{self.linked_space(reference.spaces)}/pages/{quoted(reference.name)}{tail}"

    def joined_space(self, spaces: Sequence[str]) -> str:
        return self.rest(f"/wikis/{WIKI}{joined_spaces(spaces)}")

    def view(self, reference: Reference) -> str:
        """The address in the browser; that of a space's home ends with a slash."""
        names = (*reference.spaces, "" if reference.is_home else reference.name)
        return f"{self.view_base}/" + "/".join(quoted(name) for name in names)

    def view_space(self, spaces: tuple[str, ...]) -> str:
        return self.view(Reference(spaces, HOME))
