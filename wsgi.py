"""The application, for ``flask --app wsgi`` and for every WSGI server."""

import sys

from panel import create_app
from panel.config import ConfigError

try:
    app = create_app()
except ConfigError as exc:
    sys.exit(str(exc))
