"""Files of lines to download, sent while they are read: a long log is never held in memory whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from flask import Response, current_app

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What spreadsheets take a text for a formula by, in both widths."""
AT_ONCE = 500


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
        writer.writerow([_harmless(cell) for cell in row])
        yield buffer.getvalue()


def json_lines(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield f"{before}\n{json.dumps(row, ensure_ascii=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would take for a formula is marked as text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _file(name: str, content_type: str, chunks: Iterable[str]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_sent(iter(chunks)), content_type=content_type, headers=headers)


def _sent(chunks: Iterator[str]) -> Iterator[str]:
    """Some lines at a time, each time in a context of its own: the request is over when a slow reader takes them."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def send() -> Iterator[str]:
        while True:
            with app.app_context():
                together = "".join(islice(chunks, AT_ONCE))
            if not together:
                return
            yield together

    return send()
