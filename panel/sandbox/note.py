"""The file in the instance folder with the sandbox's host:port and process id, present while the sandbox runs.

Commands that use the folder read it and treat this address as allowed.
"""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, host_port: str) -> None:
    path.write_text(f"{host_port} {os.getpid()}\n", "utf-8")


def read(path: Path) -> tuple[str, ...]:
    """Return the host:port of the running sandbox, or an empty tuple.

    A killed sandbox leaves its file behind, so the process id is checked.
    """
    try:
        host_port, pid = path.read_text("utf-8").split()
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return ()
    return (host_port,)


def allowed_hosts(allowed: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The entries of PANEL_ALLOWED_PRIVATE_HOSTS, and the sandbox's host:port while it runs."""
    return (*allowed, *read(path))


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
