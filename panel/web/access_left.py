"""Names what keeps working after a person is disabled."""

from __future__ import annotations

from panel.core.messages import _, listed
from panel.web.context import panel


def access_left(name: str) -> str:
    """The valid API tokens and enabled embedding applications that a person created, in words; "" without any."""
    tokens, apps = panel().api_tokens.created_by(name), panel().embed_apps.known_to(name)
    return listed(
        *(_("API token “{name}”", name=token.name) for token in tokens),
        *(_("application “{name}”", name=app.name) for app in apps),
    )
