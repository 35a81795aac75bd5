"""The application, for ``flask --app wsgi`` and for every WSGI server."""

import gc
import sys

from flask import Flask


def _made() -> Flask:
    """What is made at the start stays: the collector need not look through it, now, later and at the end."""
    gc.disable()
    try:
        from panel import create_app
        from panel.config import ConfigError

        try:
            return create_app()
        except ConfigError as exc:
            sys.exit(str(exc))
    finally:
        gc.freeze()
        gc.enable()


app = _made()
