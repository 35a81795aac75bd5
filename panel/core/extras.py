"""Optional libraries. Each comes with an extra of the package, such as ``leafpanel[redis]``."""

from __future__ import annotations

from importlib import import_module


def missing(library: str, extra: str) -> str:
    """Import ``library``. If that fails, return the words that name the extra to install; otherwise an empty string."""
    try:
        import_module(library)
    except ImportError:
        return f"needs the library {library}, which is not installed: install leafpanel[{extra}]"
    return ""
