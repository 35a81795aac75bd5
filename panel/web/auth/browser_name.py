"""Names a browser and its system by the header User-Agent, so that people recognise their own sessions."""

from __future__ import annotations

from panel.core.messages import _

# Several browsers also name the ones that they descend from, so the order matters.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"), ("Linux", "Linux"),
)  # fmt: skip


UNKNOWN = _("Unknown browser")


def browser_name(user_agent: str) -> str:
    """The name in English, as it is stored with a session."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or str(UNKNOWN)


def browser_words(stored: str) -> str:
    """A stored name as a text for people."""
    browser, _on, system = stored.partition(" on ")
    if system:
        return _("{browser} on {system}", browser=browser, system=system)
    return UNKNOWN if stored in ("", UNKNOWN) else stored


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in names if mark in user_agent), "")
