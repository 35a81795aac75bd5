"""Run every benchmark module of this package and print one Markdown table, with the date and the machine."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import platform
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks._table import Row, table


def modules() -> dict[str, ModuleType]:
    """The modules that measure, by name. ``NAMES`` of a module has the first cell of each of its rows."""
    names = sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("_"))
    return {name: importlib.import_module(f"benchmarks.{name}") for name in names}


def main(wanted: Sequence[str]) -> int:
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    rows = [row for name, module in modules().items() if not wanted or name in wanted for row in _rows(name, module)]
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {_machine()}.\n\n{table(rows)}", flush=True)
    return 1 if any(row.ours == "failed" for row in rows) else 0


def _rows(name: str, module: ModuleType) -> list[Row]:
    """The rows of one module. Those that it did not reach are there too, so that a failure does not look like none."""
    started, rows = time.monotonic(), list[Row]()
    try:
        for row in _measured(module):
            rows.append(row)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # the other modules go on; a missing server is a failure of pytest, which is no Exception
        traceback.print_exc()
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return rows + [Row(what, "failed") for what in module.NAMES[len(rows) :]]


def _measured(module: ModuleType) -> Iterator[Row]:
    for what, row in zip(module.NAMES, module.measure(), strict=True):
        assert row.what == what, f"{row.what} was measured in place of {what}"
        print(f"  {' | '.join(row.cells())}", file=sys.stderr, flush=True)
        yield row


def _machine() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    model = cpu.partition(": ")[2] or platform.machine()
    memory = round(pages * size / 2**30)
    return f"{os.cpu_count()} processors ({model}), {memory} GiB, Python {platform.python_version()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("module", nargs="*", choices=[[], *modules()], help="measure only these")
    sys.exit(main(parser.parse_args().module))
