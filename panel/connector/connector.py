"""The connector of one process: opens conversations with sources, and holds what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from panel.connector.adapter import OutgoingRequest
from panel.connector.address_guard import AddressGuard
from panel.connector.allowlist import Allowlist
from panel.connector.caller import Caller, Journal, NoJournal
from panel.connector.conversation import Classify, Upstream, valid_endpoint
from panel.connector.deadline import Deadline
from panel.connector.endpoint import Endpoint, parse_endpoint
from panel.connector.headers import OauthSigner, form_headers
from panel.connector.limiter import Limiter, NoLimits, RetryBudget
from panel.connector.local_cache import LocalCache
from panel.connector.optional import NotesOfSources, Pauses
from panel.connector.probes import Probes
from panel.connector.resolve import Resolver
from panel.connector.response import Answer
from panel.connector.shared_cache import NoSharedCache, SharedCache
from panel.connector.source import SourceConfig
from panel.connector.transport import Transport
from panel.core.domain import Problem, Step

MAX_BYTES = 5 * 1024 * 1024
MAX_ANSWERS = 200
"""How many answers one process caches. At most 512 KiB each, so 100 MiB in the worst case."""
REREAD_S = 60.0
"""How old a cached answer may be that is only renewed and not read in full again."""
_REFUSALS = frozenset(range(400, 500)) - {429}


class Connector:
    """Opens conversations. One per process; holds what all conversations share.

    ``allowed`` returns the current entries of PANEL_ALLOWED_PRIVATE_HOSTS. It is called before each call, because
    the sandbox adds its own address while it runs; ``sandbox`` returns that address alone.
    """

    def __init__(
        self,
        *,
        allowed: Callable[[], Iterable[str]] = tuple,
        sandbox: Callable[[], Iterable[str]] = tuple,
        deadline_s: float = 5.0,
        max_bytes: int = MAX_BYTES,
        resolver: Resolver | None = None,
        journal: Journal | None = None,
        signer: OauthSigner | None = None,
        limiter: Limiter | NoLimits | None = None,
        cache_ttl_s: float = 0.0,
        reread_s: float = REREAD_S,
        shared: SharedCache | None = None,
    ) -> None:
        self._guard = AddressGuard(lambda: Allowlist.of(tuple(allowed())), resolver or Resolver())
        self._deadline_s = deadline_s
        self.transport = Transport(self._guard, max_bytes=max_bytes)
        self.journal: Journal = journal or NoJournal()
        self.signer = signer
        self.limiter = limiter or NoLimits()
        self.cache_ttl_s = cache_ttl_s
        self.reread_s = reread_s
        self.shared: SharedCache = shared or NoSharedCache()
        self.values = LocalCache()
        self.answers = LocalCache(max_entries=MAX_ANSWERS)
        self.retries = RetryBudget()
        self.pauses, self.notes = Pauses(), NotesOfSources()
        self._probes = Probes(self._guard, self.transport, sandbox)

    def open(
        self,
        source: SourceConfig,
        caller: Caller,
        *,
        classify: Classify | None = None,
        deadline_s: float | None = None,
        fresh: bool = False,
        test: bool = False,
    ) -> Upstream:
        """A conversation with one absolute deadline: the given one, the source's, or the deployment's.

        ``fresh`` bypasses the cache; every read that prepares a write uses it. ``test`` is for Test connection: it
        also bypasses limits and breaker, so that a test reports the state of the upstream.
        """
        deadline = Deadline(deadline_s or source.timeout_s or self._deadline_s)
        limiter = NoLimits() if test else self.limiter
        # A test may be of settings that are not stored, so it makes connections of its own.
        return Upstream(self, source, caller, classify, deadline, limiter=limiter, fresh=fresh or test, shares=not test)

    def close_connections(self, source_id: str | None = None) -> None:
        """Close the idle connections of this process to one source, or all of them."""
        self.transport.kept.close(source_id)

    def is_opened(self, url: str, source: SourceConfig) -> bool:
        """Whether the deployment opened the address that connections of ``source`` for ``url`` go to.

        Plain http may carry a credential to such an address only.
        """
        endpoint = source.connection_endpoint(parse_endpoint(url.partition("?")[0]))
        return self._guard.is_opened(endpoint, Deadline(self._deadline_s))

    def post_form(
        self,
        url: str,
        form: str,
        source: SourceConfig,
        caller: Caller,
        deadline: Deadline,
        *,
        basic: tuple[str, str] | None = None,
    ) -> Answer:
        """POST a form to an address of ``source`` outside its root, such as its token endpoint.

        ``form`` is urlencoded; ``basic`` is user name and password. A 4xx other than 429 is returned as an answer,
        since its body says what was wrong with the form. Raises ProviderUnavailable for everything else.
        """
        endpoint, target = _form_target(url)
        headers = form_headers(source, endpoint, basic)
        connection = source.connection_endpoint(endpoint)
        request = OutgoingRequest("POST", endpoint, target, headers, form.encode(), True, source.ca_file, connection)
        return Upstream(self, source, caller, None, deadline, endpoint=endpoint).perform(request, _REFUSALS)

    def probe_address(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.address(source, Deadline(deadline_s))

    def probe_tls(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.tls(source, Deadline(deadline_s))

    def probe_http(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.http(source, Deadline(deadline_s))


def _form_target(url: str) -> tuple[Endpoint, str]:
    """Endpoint and request target of a form's address. A trailing slash is kept: some token endpoints need it."""
    bare, _, query = url.partition("?")
    endpoint = valid_endpoint(lambda: parse_endpoint(bare), "auth.tokenUrl")
    slash = "/" if bare.endswith("/") or not endpoint.path else ""
    return endpoint, endpoint.path + slash + (f"?{query}" if query else "")
