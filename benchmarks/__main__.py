"""Run every benchmark module of this package and print its results."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import benchmarks


def main() -> None:
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    for info in sorted(pkgutil.iter_modules(benchmarks.__path__), key=lambda module: module.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"benchmarks.{info.name}")
        if not hasattr(module, "measure"):
            continue
        print(f"\n{info.name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        for line in module.measure():
            print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
