"""The application of a checkout, for ``flask --app wsgi`` and WSGI servers. Once installed, it is ``panel.wsgi``."""

import gc

gc.disable()  # Nothing that the imports create is garbage. `panel.wsgi` enables the collector again.

from panel.wsgi import app  # noqa: E402

__all__ = ["app"]
