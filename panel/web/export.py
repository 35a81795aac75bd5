"""CSV and JSON downloads, streamed while the rows are read, so that a long log does not fill the memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from flask import Response, current_app

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The first characters, half- and full-width, by which spreadsheets recognise a formula (CSV injection)."""
ROWS_PER_CHUNK = 500


def as_csv(name: str, header: Iterable[object], rows: Iterable[Iterable[object]]) -> Response:
    return _file(name, "text/csv; charset=utf-8", csv_lines(header, rows))


def as_json(name: str, rows: Iterable[Mapping[str, object]]) -> Response:
    """One JSON array."""
    return _file(name, "application/json", json_lines(rows))


def csv_lines(header: Iterable[object], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    yield buffer.getvalue()
    for row in rows:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_escape_formula(cell) for cell in row])
        yield buffer.getvalue()


def json_lines(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield f"{before}\n{json.dumps(row, ensure_ascii=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _escape_formula(cell: object) -> object:
    """Prefix a text that a spreadsheet would run as a formula with an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _file(name: str, content_type: str, chunks: Iterable[str]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_stream(iter(chunks)), content_type=content_type, headers=headers)


def _stream(chunks: Iterator[str]) -> Iterator[str]:
    """Join chunks, each batch in its own app context: the request's context has ended when a client reads the body."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def send() -> Iterator[str]:
        while True:
            with app.app_context():
                batch = "".join(islice(chunks, ROWS_PER_CHUNK))
            if not batch:
                return
            yield batch

    return send()
