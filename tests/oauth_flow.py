"""What the tests of OAuth share: sources that sign in with it, a person who consents, and looking into the rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import select, update
from support import ALICE, Upstreams, openproject_values

from panel.connector import Caller, SourceConfig, Upstream
from panel.core.clock import now
from panel.sandbox.openproject import OAUTH_CLIENT, OAUTH_SECRET
from panel.services import Panel
from panel.sources.oauth import ConsentVisit
from panel.storage.engine import db
from panel.storage.models import OauthGrant, User

CALLBACK = "http://127.0.0.1:8000/admin/oauth/callback"
CALLER = Caller("test", "alice")
BROWSER = "the browser of alice"


def oauth_values(upstreams: Upstreams, grant: str = "client_credentials", **changes: str) -> dict[str, Any]:
    """A tracker source that signs in with OAuth."""
    root = upstreams.openproject_url
    auth = {
        "type": "oauth2", "grantType": grant, "tokenUrl": f"{root}/oauth/token",
        "authorizationUrl": f"{root}/oauth/authorize", "clientId": OAUTH_CLIENT, "clientSecret": OAUTH_SECRET,
        "scope": "api_v3", **changes,
    }  # fmt: skip
    return openproject_values(upstreams, auth=auth)


def person(name: str = "alice") -> int:
    user = User(name=name, role="admin", password_hash="!")
    db.session.add(user)
    db.session.commit()
    return user.id


def consent(address: str, decision: str = "allow") -> dict[str, list[str]]:
    """Grant or refuse on the provider's page; returns the parameters for our callback."""
    page = urlsplit(address)
    assert requests.get(address, timeout=20).status_code == 200
    asked = {name: values[0] for name, values in parse_qs(page.query).items()}
    answer = requests.post(
        address.partition("?")[0], data={**asked, "decision": decision}, timeout=20, allow_redirects=False
    )
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(f"{asked['redirect_uri']}?")
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def visit(params: dict[str, list[str]], user_id: int, browser: str = BROWSER) -> ConsentVisit:
    return ConsentVisit(params, user_id, browser, CALLBACK)


def begin(services: Panel, user_id: int, slug: str = "openproject", browser: str = BROWSER) -> str:
    config = services.resolver.config_to_connect(services.sources.get(slug))
    return services.oauth.begin(config, user_id=user_id, browser=browser, redirect_uri=CALLBACK)


def connected(services: Panel, upstreams: Upstreams, **changes: str) -> SourceConfig:
    """A source with a stored grant."""
    services.sources.create(oauth_values(upstreams, "authorization_code", **changes), by=ALICE)
    user_id = person()
    params = consent(begin(services, user_id))
    services.oauth.finish(visit(params, user_id), services.resolver.config_of_id, CALLER, by=ALICE)
    return config_of(services)


def config_of(services: Panel) -> SourceConfig:
    return services.resolver.resolve(services.registry.get("openproject")).ready()


def talk(services: Panel, config: SourceConfig, seconds: float = 20) -> Upstream:
    connector = services.sources._connector
    return connector.open(config, CALLER, deadline_s=seconds, fresh=True)


def who(services: Panel, config: SourceConfig, seconds: float = 20) -> str:
    """Ask the tracker who we are, with whatever token there is."""
    return str(talk(services, config, seconds).send("GET", "api", "v3", "users", "me").object()["name"])


def row() -> OauthGrant | None:
    db.session.expire_all()
    return db.session.scalar(select(OauthGrant))


def age(**changes: Any) -> None:
    """Let the time of the stored token, and of any lease, be over."""
    past = now() - timedelta(seconds=5)
    db.session.execute(update(OauthGrant).values(expires_at=past, lease_until=None, **changes))
    db.session.commit()


def failing(work: Callable[[], object]) -> Any:
    """The problem with which ``work`` ends."""
    import pytest

    from panel.core.errors import ProviderUnavailable

    with pytest.raises(ProviderUnavailable) as caught:
        work()
    return caught.value.problem
