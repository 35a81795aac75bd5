"""How a source proves itself as an OAuth client at its token endpoint: in a header, or in the form of the request."""

from __future__ import annotations

from urllib.parse import urlencode

from panel.connector import Answer, Caller, Connector, Deadline, OauthClient, SourceConfig
from panel.sources.oauth_responses import refuses_client


class ClientAuthentication:
    """Sends token requests as the client of a source.

    The header is tried first, as the standard recommends; a provider that does not know the client then gets one try
    with the form (``client_secret_post``). What was accepted is remembered in this process.
    https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._by_form: set[tuple[str, str, str]] = set()
        """Source, token address and client id of those that are known by the form only."""

    def post(self, form: str, source: SourceConfig, client: OauthClient, caller: Caller, deadline: Deadline) -> Answer:
        """The answer to a token request. Raises ProviderUnavailable."""
        key = (source.id, client.token_url, client.client_id)
        first = key in self._by_form
        answer = self._send(form, source, client, caller, deadline, in_form=first)
        if not refuses_client(answer):
            return answer
        second = self._send(form, source, client, caller, deadline, in_form=not first)
        if refuses_client(second):
            return answer
        (self._by_form.discard if first else self._by_form.add)(key)
        return second

    def _send(
        self, form: str, source: SourceConfig, client: OauthClient, caller: Caller, deadline: Deadline, *, in_form: bool
    ) -> Answer:
        secret = source.auth.secret.reveal() if source.auth.secret is not None else ""
        if in_form:
            own = urlencode([("client_id", client.client_id), ("client_secret", secret)])
            return self._connector.post_form(client.token_url, f"{form}&{own}", source, caller, deadline)
        credentials = (client.client_id, secret)
        return self._connector.post_form(client.token_url, form, source, caller, deadline, basic=credentials)
