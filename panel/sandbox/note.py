"""The sandbox's host:port, noted in the instance folder while it runs, so that every command may reach it."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, host_port: str) -> None:
    path.write_text(f"{host_port} {os.getpid()}\n", "utf-8")


def read(path: Path) -> tuple[str, ...]:
    """The noted host:port, or nothing when no sandbox runs (a killed one may have left its note)."""
    try:
        host_port, pid = path.read_text("utf-8").split()
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return ()
    return (host_port,)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
