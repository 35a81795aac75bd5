"""The server of `make serve` (gunicorn with waitress in it) beside granian, on the endpoint that hosts poll."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

from benchmarks._http import rate
from benchmarks._panel import free_port, served
from benchmarks._table import Rounds, Row
from benchmarks.polling import LIST, UNCHANGED, polled
from panel.config import SERVER_THREADS

NAMES = (f"gunicorn with waitress, beside granian: {LIST}", f"gunicorn with waitress, beside granian: {UNCHANGED}")
ROUNDS, SECONDS, WARM_S, WORKERS = 3, 0.8, 0.2, 2


def measure() -> Iterator[Row]:
    if importlib.util.find_spec("granian") is None:
        yield from (Row(name, floor="granian is not installed") for name in NAMES)
        return
    with polled(workers=WORKERS) as both:
        port = free_port()
        command = [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--workers", str(WORKERS), "--blocking-threads", str(SERVER_THREADS), "--log-level", "warning",
            "panel.wsgi:app",
        ]  # fmt: skip
        with served(command, port, {**both.settings, "PANEL_PORT": str(port)}):
            for name, case in zip(NAMES, (LIST, UNCHANGED), strict=True):
                sent, status = both.cases[case].ours, both.cases[case].status
                targets = [(both.panel, sent, status), (port, sent, status), (port, sent, status)]
                for target in targets[:2]:
                    rate(*target, WARM_S)
                values = [[rate(*target, SECONDS) for target in targets] for _ in range(ROUNDS)]
                yield Rounds.of_each(values, is_rate=True).row(name, "{:.0f}/s")
