"""A third leaf, as somebody else would write one: this file, its YAML, and nothing else of the panel is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from panel.connector import Answer, SourceConfig, Upstream, unexpected
from panel.core.domain import Identity, Item
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable, Uncertain, WrongHost
from panel.integrations.contract import Integration


class Notebook(Integration):
    def instance_root(self, location: str) -> str:
        return location.rstrip("/")

    def api_address(self, source: SourceConfig) -> str:
        return f"{source.root}/notes"

    def url_for(self, source: SourceConfig, reference: str) -> str:
        return f"{source.root}/read/{reference}"

    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        return text.isdigit() or "://" in text

    def check(self, upstream: Upstream) -> Identity:
        told = upstream.get("whoami").object()
        if not isinstance(told.get("user"), str):
            raise unexpected("GET /whoami answered without a user.")
        return Identity(told["user"], str(told.get("version")))

    def probe_product(self, upstream: Upstream) -> str:
        return self.check(upstream).version or ""

    probe_identity = check

    def probe_reading(self, upstream: Upstream) -> str:
        return f"This account sees {len(_notes(upstream.get('notes')))} notes."

    def resolve(self, upstream: Upstream, text: str) -> Item:
        if "://" in text and not text.startswith(f"{upstream.source.root}/"):
            host = urlsplit(text).hostname or text
            raise WrongHost("reference", host, f"This is a note of {host}.")
        number = re.search(r"(?:^|/read/)(\d{1,9})$", text)
        if number is None:
            raise InvalidInput("reference", "Give the number or the address of a note.")
        return self.fetch(upstream, number[1])

    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        answer = upstream.get("notes", reference, allow={404})
        note = answer.object()
        if answer.status == 404 and note.get("error") == "no such note":
            raise NotFound("Notebook does not show this note to our account.")
        return _item(note, upstream.source).with_excerpt(note["text"] if with_excerpt else None)

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        shown = _notes(upstream.get("notes", query=[("ids", ",".join(references))]))
        known = {str(note["id"]): _item(note, upstream.source) for note in shown}
        gone = {text: Item.gone(text, self.url_for(upstream.source, text)) for text in references}
        return {text: known.get(text, gone[text]) for text in references}

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        return [_item(note, upstream.source) for note in _notes(upstream.get("notes", query=[("q", text)]))[:limit]]

    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        if not str(values.get("text") or "").strip():
            raise InvalidInput("text", "“text” is missing.")
        body = json.dumps({"text": values["text"]}).encode()
        try:
            answer = upstream.send("POST", "notes", body=body, content_type="application/json")
        except ProviderUnavailable as exc:
            if exc.unanswered:
                raise Uncertain("We cannot tell whether the note was created.") from exc
            raise
        return _item(answer.object(), upstream.source)

    def row(self, item: Item) -> dict[str, Any]:
        return {
            "id": item.reference,
            "reference": item.reference,
            "title": item.title,
            "url": item.url,
            "state": item.state,
        }


def _notes(answer: Answer) -> list[dict[str, Any]]:
    notes = answer.object().get("notes")
    if not isinstance(notes, list):
        raise unexpected(f"{answer.where} answered without notes.")
    return notes


def _item(note: Mapping[str, Any], source: SourceConfig) -> Item:
    if not isinstance(note.get("id"), int) or not isinstance(note.get("text"), str):
        raise unexpected("Notebook answered without a note.")
    return Item(str(note["id"]), note["text"], f"{source.root}/read/{note['id']}")
