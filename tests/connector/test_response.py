"""Reading an answer: only plain JSON is JSON, and nothing of an upstream's words gets into a message."""

from __future__ import annotations

import pytest
from connectors import problem_of

from panel.connector import Answer
from panel.core.reasons import Reason


def answer(body: bytes, content_type: str = "application/json") -> Answer:
    return Answer(200, {"content-type": content_type}, body, "GET /x")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/hal+json", "a/b+json ;x"]
)
def test_json_has_many_names(kind: str) -> None:
    assert answer(b'{"a": 1}', kind).object() == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/html; charset=utf-8", "with text/html, not JSON"), ("", "with no content type, not JSON"),
        ("<script>", "with an unknown content type, not JSON"),
        ("x/" + "y" * 500, "with an unknown content type, not JSON"),
    ],
)  # fmt: skip
def test_another_type_is_named_when_it_is_one(kind: str, shown: str) -> None:
    assert problem_of(answer(b"{}", kind).json).message == f"GET /x answered 200 {shown}."


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"nope", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1, "a": 1}',
        b'[{"a": {"b": 1, "b": 2}}]', b"\xff\xfe{\x00}\x00",
        b'{"a": "\xe4"}', b"[" * 100_000 + b"]" * 100_000, b"9" * 5000, b'{"a": 1} {"b": 2}',
        b"[" + b"{}," * 400_000 + b"{}]", b"[" + b"0," * 400_000 + b"0]",
    ],
)  # fmt: skip
def test_a_body_that_is_no_plain_json_is_unreadable(body: bytes) -> None:
    problem = problem_of(answer(body).json)

    assert problem.reason is Reason.UNEXPECTED_RESPONSE
    assert problem.message == "GET /x answered 200 with a body that is not readable JSON."


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true"])
def test_an_object_is_an_object(body: bytes) -> None:
    assert answer(body).json() is not ...
    assert problem_of(answer(body).object).message == "GET /x answered 200 with JSON of another shape."


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"a\\ud800b"', "ab"), (b'["\\udfff", {"\\ud83d": "\\ud83d\\ude00"}]', ["", {"": "\U0001f600"}]),
        (b'"\\ud83d\\ude00"', "\U0001f600"), (b'"\\\\ud800"', "\\ud800"),
    ],
)  # fmt: skip
def test_half_characters_are_left_out(body: bytes, value: object) -> None:
    assert answer(body).json() == value
