"""The application, for WSGI servers: ``gunicorn panel.wsgi:app``. An invalid setting ends the process by name."""

import gc
import sys

from flask import Flask

from panel import create_app
from panel.config import ConfigError


def _application() -> Flask:
    """What is created at the start stays, so that the collector need not examine it, now or later."""
    gc.disable()
    try:
        return create_app()
    except ConfigError as exc:
        sys.exit(str(exc))
    finally:
        gc.freeze()
        gc.enable()


app = _application()
