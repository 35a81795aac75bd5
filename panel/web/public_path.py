"""Serves the panel below the path of PANEL_PUBLIC_URL, whether the proxy in front strips that path or passes it on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from panel.config import Config


def install(app: Flask, config: Config) -> None:
    """Read the path off each request. Every address that the panel builds begins with it.

    A request that comes without it was stripped by the proxy, or is a probe that asks the process itself.
    """
    prefix = urlsplit(config.public_url).path
    if not prefix:
        return
    inner = app.wsgi_app

    def below_prefix(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        environ["SCRIPT_NAME"] = prefix
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :]
        return inner(environ, start_response)

    app.wsgi_app = below_prefix  # type: ignore[method-assign]
