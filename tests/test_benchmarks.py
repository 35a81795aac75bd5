"""The table of the README has the rows that `make bench` prints. What they measure is not run here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks._table import COLUMNS, Rounds, Row, at_most, table

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_readme_has_each_row_of_the_benchmark_once_and_no_other() -> None:
    head, _, *rows = re.findall(r"^\|.*\|$", README.partition("## What it costs")[2], re.MULTILINE)

    assert cells(head) == list(COLUMNS)
    assert [cells(row)[0] for row in rows] == [name for module in bench.modules().values() for name in module.NAMES]


def test_the_readme_states_date_and_machine_of_its_figures() -> None:
    assert re.search(r"^20\d\d-\d\d-\d\d, \d+ processors", README.partition("## What it costs")[2], re.MULTILINE)


def test_a_benchmark_that_fails_leaves_the_rows_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def half() -> Iterator[Row]:
        yield Row("first", "1 ms")
        pytest.fail("PostgreSQL is missing")

    modules: dict[str, Any] = {
        "broken": SimpleNamespace(NAMES=("first", "second"), measure=half),
        "whole": SimpleNamespace(NAMES=("third",), measure=lambda: iter([Row("third", "3 ms")])),
    }
    monkeypatch.setattr(bench, "modules", lambda: modules)

    code = bench.main([])

    printed = [cells(line)[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert code == 1
    assert printed[2:] == [["first", "1 ms"], ["second", "failed"], ["third", "3 ms"]]


def test_the_cost_is_a_multiple_of_the_floor_for_times_and_for_rates() -> None:
    times = Rounds([4, 6, 5], [2, 2, 2], [2, 2, 3]).row("a list", "{:.1f} ms", at_most(2, 2.5))
    rates = Rounds([50], [100], [110], is_rate=True).row("polls", "{:.0f}/s")

    assert times == Row("a list", "5.0 ms", "2.0 ms", "× 2.50", "2.00–3.00", "1.00", "≤ 2, missed")
    assert rates == Row("polls", "50/s", "100/s", "× 2.00", "2.00–2.00", "1.10")
    assert table([rates]).splitlines()[-1] == "| polls | 50/s | 100/s | × 2.00 | 2.00–2.00 | 1.10 |  |"
