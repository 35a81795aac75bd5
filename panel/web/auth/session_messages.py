"""Keeps the template of a Message in the session cookie, so that a notice is translated when it is shown."""

from __future__ import annotations

from typing import Any

from flask.json.tag import JSONTag, TaggedJSONSerializer

from panel.core.messages import Message


class TagMessage(JSONTag):
    """A Message as its template and values. Without it, JSON would keep the English text alone."""

    __slots__ = ()
    key = " message"

    def check(self, value: Any) -> bool:
        return isinstance(value, Message)

    def to_json(self, value: Message) -> list[Any]:
        return [value.template, self.serializer.tag(dict(value.values)), value.many, value.number]

    def to_python(self, value: list[Any]) -> Message:
        template, values, many, number = value
        return Message(template, values, many=many, number=number)


def serializer() -> TaggedJSONSerializer:
    """The serializer of session cookies."""
    made = TaggedJSONSerializer()
    made.register(TagMessage, index=0)
    return made
