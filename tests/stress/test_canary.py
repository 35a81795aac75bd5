"""A saved secret is never output again: ten thousand requests, and a search in all their output."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from canary import canary, found_in, seen_in_each_dress
from canary_panel import run_canary_panel
from machine import process

REQUESTS = 10_000
SEED = 20261124
WITHOUT_SERVERS = os.environ.get("PANEL_TEST_WITHOUT_SERVERS") == "1"
PANELS = 3
"""Processes with a share of the requests each, so that one works while another waits for a fault."""


def test_the_search_sees_a_secret_in_every_dress() -> None:
    for secret in (canary("x", odd=True), canary("y")):
        for text in seen_in_each_dress(secret):
            assert found_in({"here": text}, {"it": secret}), text


def test_no_secret_comes_out_in_ten_thousand_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of the panels have a Redis each, which writes all commands to its log."""
    started, share = time.monotonic(), REQUESTS // PANELS + 1
    over_redis = 0 if WITHOUT_SERVERS else 2
    folders = [tmp_path / str(number) for number in range(PANELS)]
    [folder.mkdir() for folder in folders]

    with ExitStack() as stack:
        processes = [
            process(run_canary_panel, folder, SEED + number, share, number < over_redis)
            for number, folder in enumerate(folders)
        ]
        reports = [pipe.recv() for pipe in [stack.enter_context(started_process) for started_process in processes]]

    statuses: Counter[int] = sum((report["statuses"] for report in reports), Counter())
    upstream: Counter[int] = sum((report["upstream"] for report in reports), Counter())
    sizes: Counter[str] = sum((Counter(report["sizes"]) for report in reports), Counter())
    hits = [hit for report in reports for hit in report["hits"]]
    with capsys.disabled():
        print(
            f"\n  {statuses.total()} requests in {time.monotonic() - started:.0f} s, "
            f"answered {dict(sorted(statuses.items()))}; upstreams answered {dict(sorted(upstream.items()))}; "
            f"{sum(report['canaries'] for report in reports)} secrets looked for in {sizes.total() / 2**20:.0f} MiB "
            f"({', '.join(sorted(sizes))}): {len(hits)} found; of "
            f"{[report['upstream'][200] for report in reports[:over_redis]]} answers, Redis stored "
            f"{[report['stored'] for report in reports[:over_redis]]}"
        )
    assert hits == []
    assert [bug for report in reports for bug in report["bugs"]] == []
    assert statuses.total() >= REQUESTS
    assert {200, 201, 303, 400, 401, 403, 404, 422, 503} <= set(statuses)
    assert upstream[200] > REQUESTS / 20
    assert {"debug.log", "answers", "commands", "panel.sqlite3", "panel.sqlite3-wal", "traffic.sqlite3"} <= set(sizes)
    for report in reports[:over_redis]:
        # Reads past the cache, writes and failures store nothing.
        assert report["stored"] > report["upstream"][200] / 10
