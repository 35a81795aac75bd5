"""A WSGI application that answers when the file of its query exists, and says with another file that it has started."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    if folder := environ["QUERY_STRING"]:
        Path(folder, "started").touch()
        while not Path(folder, "go on").exists():
            time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
