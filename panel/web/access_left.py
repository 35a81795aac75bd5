"""Names what keeps working after a person is disabled."""

from __future__ import annotations

from panel.web.context import panel


def access_left(name: str) -> str:
    """The valid API tokens and enabled embedding applications that a person created, in words; "" without any."""
    tokens, apps = panel().api_tokens.created_by(name), panel().embed_apps.known_to(name)
    named = [f"API token “{token.name}”" for token in tokens] + [f"application “{app.name}”" for app in apps]
    return ", ".join(named)
