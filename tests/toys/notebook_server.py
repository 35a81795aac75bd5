"""The upstream of the third leaf: a few notes over real HTTP, for whoever knows the password."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.wrappers import Request, Response

from panel.sandbox.standin import StandIn

NAME, PASSWORD = "anna", "pw"


class NotebookStandIn(StandIn):
    product = "Notebook"

    def __init__(self) -> None:
        super().__init__()
        self.notes = {1: "Buy a bridge", 2: "Sell the tower", 3: "Paint the bridge"}

    def answer(self, request: Request) -> Response:
        given = request.authorization
        if given is None or (given.username, given.password) != (NAME, PASSWORD):
            return Response("", 401)
        parts = request.path.strip("/").split("/")
        if parts == ["whoami"]:
            return _json({"user": NAME, "version": "1.2"})
        if parts == ["notes"] and request.method == "POST":
            return self._create(str(json.loads(request.get_data())["text"]))
        if parts == ["notes"]:
            return self._list(request.args)
        if len(parts) == 2 and parts[0] == "notes" and parts[1].isdigit() and int(parts[1]) in self.notes:
            return _json(self._note(int(parts[1])))
        return _json({"error": "no such note"}, 404)

    def _list(self, asked: Any) -> Response:
        wanted = (
            {int(number) for number in asked["ids"].split(",") if number.isdigit()} if "ids" in asked else self.notes
        )
        words = asked.get("q", "").casefold()
        found = [number for number, text in self.notes.items() if number in wanted and words in text.casefold()]
        return _json({"notes": [self._note(number) for number in found]})

    def _create(self, text: str) -> Response:
        number = max(self.notes) + 1
        self.notes[number] = text
        return _json(self._note(number), 201)

    def _note(self, number: int) -> dict[str, Any]:
        return {"id": number, "text": self.notes[number]}


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
