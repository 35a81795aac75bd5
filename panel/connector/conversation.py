"""Conversations with sources: the only thing a leaf can call."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from panel.connector.address_guard import AddressGuard
from panel.connector.allowlist import Allowlist
from panel.connector.caller import Caller, Journal, NoJournal
from panel.connector.classify import problem_of_status, succeeded, timed_out
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.endpoint import Endpoint, outline_of, parse_endpoint, path_of
from panel.connector.headers import Sign, form_headers, outgoing, signed
from panel.connector.limiter import Limiter, NoLimits, RetryBudget
from panel.connector.local_cache import LocalCache
from panel.connector.probes import Probes
from panel.connector.resolve import Resolver
from panel.connector.response import Answer
from panel.connector.shared_cache import CachedAnswer, NoSharedCache, SharedCache, fetch_once
from panel.connector.source import AuthKind, SourceConfig
from panel.connector.transport import Call, Reply, Transport
from panel.core.domain import Problem, Reason, Step
from panel.core.errors import InvalidInput, ProviderUnavailable

T = TypeVar("T")
R = TypeVar("R")

Judge = Callable[[Answer, SourceConfig], Problem | None]

MAX_BYTES = 5 * 1024 * 1024
CACHED_BYTES = 512 * 1024
"""An answer larger than this is shared with those who wait for it, and not kept."""
SAFE_METHODS = frozenset({"GET", "HEAD"})
_REFUSALS = frozenset(range(400, 500)) - {429}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Line:
    """A call that was made, for the journal."""

    where: str
    status: int | None
    reason: Reason | None
    ms: int
    size: int
    served: int = 1


class _Lines(threading.local):
    """Lines that a thread holds back until it is known how many callers they answered."""

    held: list[_Line] | None = None


class Connector:
    """Opens conversations. One per process; holds what all conversations share.

    ``allowed`` gives the entries of PANEL_ALLOWED_PRIVATE_HOSTS in force; it is asked before each call.
    """

    def __init__(
        self,
        *,
        allowed: Callable[[], Iterable[str]] = tuple,
        deadline_s: float = 5.0,
        max_bytes: int = MAX_BYTES,
        resolver: Resolver | None = None,
        journal: Journal | None = None,
        sign: Sign | None = None,
        limiter: Limiter | NoLimits | None = None,
        cache_ttl_s: float = 0.0,
        shared: SharedCache | None = None,
    ) -> None:
        self._guard = AddressGuard(lambda: Allowlist.of(tuple(allowed())), resolver or Resolver())
        self._deadline_s = deadline_s
        self.transport = Transport(self._guard, max_bytes=max_bytes)
        self.journal: Journal = journal or NoJournal()
        self.sign = sign
        self.limiter = limiter or NoLimits()
        self.cache_ttl_s = cache_ttl_s
        self.shared: SharedCache = shared or NoSharedCache()
        self.memory = LocalCache()
        self.answers = LocalCache(most=200)
        self.retries = RetryBudget()
        self._probes = Probes(self._guard, self.transport)

    def open(
        self,
        source: SourceConfig,
        caller: Caller,
        *,
        judge: Judge | None = None,
        deadline_s: float | None = None,
        fresh: bool = False,
        test: bool = False,
    ) -> Upstream:
        """A conversation with one absolute deadline: the given one, the source's, or the deployment's.

        ``fresh`` reads past what was remembered, as everything does that leads to a write. ``test`` is for Test
        connection: no limit and no open breaker stands in the way of finding out.
        """
        deadline = Deadline(deadline_s or source.timeout_s or self._deadline_s)
        limiter = NoLimits() if test else self.limiter
        return Upstream(self, source, caller, judge, deadline, limiter=limiter, fresh=fresh or test)

    def is_opened(self, url: str) -> bool:
        """Whether the deployment opened the address of ``url``, so that plain http may carry a credential there."""
        return self._guard.is_opened(parse_endpoint(url.partition("?")[0]), Deadline(self._deadline_s))

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

        ``form`` is urlencoded. A 4xx (but 429) is an answer like any other, since it says what was wrong with the form.
        Raises ProviderUnavailable for everything else.
        """
        bare, _, query = url.partition("?")
        endpoint = _endpoint_at(bare)
        target = (
            endpoint.path + ("/" if bare.endswith("/") or not endpoint.path else "") + (f"?{query}" if query else "")
        )
        headers = form_headers(source, endpoint, basic)
        call = Call("POST", endpoint, target, headers, form.encode(), True, source.ca_file)
        return Upstream(self, source, caller, None, deadline, endpoint=endpoint).made(call, _REFUSALS)

    def probe_address(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.address(source, Deadline(deadline_s))

    def probe_tls(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.tls(source, Deadline(deadline_s))

    def probe_http(self, source: SourceConfig, *, deadline_s: float) -> tuple[Step, Problem | None]:
        return self._probes.http(source, Deadline(deadline_s))


class Upstream:
    """One conversation: every call in it shares the caller and one absolute deadline."""

    def __init__(
        self,
        connector: Connector,
        source: SourceConfig,
        caller: Caller,
        judge: Judge | None,
        deadline: Deadline,
        *,
        endpoint: Endpoint | None = None,
        limiter: Limiter | NoLimits | None = None,
        fresh: bool = True,
    ) -> None:
        self.source = source
        self._limiter, self._fresh = limiter or NoLimits(), fresh
        self._connector, self._caller, self._judge, self._deadline = connector, caller, judge, deadline
        self._endpoint = endpoint or _endpoint_at(source.root)
        self._lines = _Lines()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing outlives a conversation: each call has closed its own connection."""

    @property
    def seconds_left(self) -> float:
        return self._deadline.left

    def obtain_credential(self) -> None:
        """Have what signs the calls, so that not getting it is not mistaken for a failure of the upstream."""
        signed({}, self.source, self._connector.sign, self._deadline, self._caller)

    def get(
        self,
        *segments: str,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json",
        allow: Collection[int] = (),
    ) -> Answer:
        """GET ``root/segments…``. See ``send``. Identical reads become one, and are answered again for seconds."""
        if self._fresh:
            return self.send("GET", *segments, query=query, accept=accept, allow=allow)
        key = self._key(segments, query, accept, allow)
        memory, ttl = self._connector.answers, self._connector.cache_ttl_s

        def ask() -> CachedAnswer:
            answer = self.send("GET", *segments, query=query, accept=accept, allow=allow)
            return CachedAnswer(answer, ttl if len(answer.body) <= CACHED_BYTES else 0.0)

        def ask_once() -> CachedAnswer:
            return fetch_once(self._connector.shared, key, ask, self._deadline) if ttl > 0 else ask()

        return self._joined(memory, key, lambda kept: kept.seconds, ask_once).answer

    def _key(
        self, segments: Sequence[str], query: Sequence[tuple[str, str]], accept: str, allow: Collection[int]
    ) -> bytes:
        """Everything that an answer depends on, as a digest, so that no dump of it shows a query."""
        state = (self.source.id, self.source.revision, self._limiter.epoch(self.source), self.source.root)
        asked = (*state, self._endpoint.target(segments, query), accept, *sorted(allow))
        return hashlib.sha256("\n".join(map(str, asked)).encode()).digest()

    def send(
        self,
        method: str,
        *segments: str,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str = "application/json",
        headers: Mapping[str, str] = MappingProxyType({}),
        allow: Collection[int] = (),
        reads: bool = False,
    ) -> Answer:
        """Make one call and return its complete answer when its status is 2xx or in ``allow``.

        Each segment is percent-encoded by itself. ``reads`` says that it changes nothing, whatever its method.
        Raises ProviderUnavailable with the classified reason otherwise.
        """
        call = Call(
            method,
            self._endpoint,
            self._endpoint.target(segments, query),
            outgoing(self.source, accept=accept, content_type=content_type, more=headers),
            body,
            self.source.signs_in,
            self.source.ca_file,
            reads=reads or method in SAFE_METHODS,
        )
        return self._read(call, allow) if call.reads else self._write(call, allow)

    def _read(self, call: Call, allow: Collection[int]) -> Answer:
        """A read that failed by chance is tried once more."""
        try:
            return self._once(call, allow)
        except ProviderUnavailable as exc:
            if not self._connector.retries.allows(exc.problem, self._deadline):
                raise
        return self._once(call, allow)

    def _write(self, call: Call, allow: Collection[int]) -> Answer:
        """Sent once and never again by ourselves. Whatever came of it, what was remembered is old."""
        try:
            return self._once(call, allow)
        finally:
            self._limiter.advance(self.source)

    def _once(self, call: Call, allow: Collection[int]) -> Answer:
        if self.source.auth.kind is AuthKind.OAUTH2 and self._connector.sign is not None:
            return self._made_with_token(call, allow, self._connector.sign)
        return self.made(self._signed(call), allow)

    def _signed(self, call: Call) -> Call:
        headers = signed(call.headers, self.source, self._connector.sign, self._deadline, self._caller)
        return replace(call, headers=headers)

    def _made_with_token(self, call: Call, allow: Collection[int], sign: Sign) -> Answer:
        """A refused token is forgotten, and a read is made once more with a new one."""
        tried = self._signed(call)
        answer, refusal = self._answered(tried, allow)
        if answer is not None and answer.status != 401:
            return answer
        sign.refused(self.source, tried.headers["Authorization"])
        if call.reads:
            answer, refusal = self._answered(self._signed(call), allow)
        if answer is not None:
            return answer
        assert refusal is not None  # noqa: S101  (one of the two is always there)
        raise ProviderUnavailable(sign.refusal(self.source, refusal))

    def _answered(self, call: Call, allow: Collection[int]) -> tuple[Answer | None, Problem | None]:
        """The answer, or that the credential was refused. Raises ProviderUnavailable for any other failure."""
        try:
            return self.made(call, allow), None
        except ProviderUnavailable as exc:
            if exc.reason is not Reason.CREDENTIALS_REJECTED:
                raise
            return None, exc.problem

    def made(self, call: Call, allow: Collection[int]) -> Answer:
        """Make a call as it is and keep its line in the journal. See ``send``."""
        started, where = time.monotonic(), f"{call.method} {path_of(call.target)}"
        status: int | None = None
        size = 0
        problem: Problem | None = None
        try:
            with self._limiter.acquire(self.source, self._caller.budget, self._deadline):
                reply = self._exchanged(call, allow)
            status, size = reply.status, len(reply.body or b"")
            answer = Answer(reply.status, reply.headers, reply.body or b"", where)
            problem = self._judged(answer, complete=reply.body is not None, allow=allow)
            self._limiter.report(self.source, problem)
        except ProviderUnavailable as exc:
            problem = exc.problem
            raise
        finally:
            ms = round((time.monotonic() - started) * 1000)
            outline = f"{call.method} {outline_of(call.target)}"
            self._note(_Line(outline, status, problem.reason if problem is not None else None, ms, size))
        if problem is not None:
            failure = ProviderUnavailable(problem)
            failure.unanswered = reply.body is None and reply.status >= 500
            raise failure
        return answer

    def _exchanged(self, call: Call, allow: Collection[int]) -> Reply:
        """The exchange itself. Only what happens out there is reported: our own limits say nothing about a source."""
        try:
            return self._connector.transport.exchange(call, self._deadline, allow=allow)
        except ProviderUnavailable as exc:
            self._limiter.report(self.source, exc.problem)
            raise

    def _note(self, line: _Line) -> None:
        if self._lines.held is not None:
            self._lines.held.append(line)
            return
        told = (line.where, line.status, line.reason, line.ms, line.size, line.served)
        try:
            self._connector.journal.record(self.source, self._caller, *told)
        except Exception:
            # A call that went well is not undone by a log that cannot be written.
            log.exception("A call to source %s could not be noted", self.source.slug)

    def _judged(self, answer: Answer, *, complete: bool, allow: Collection[int]) -> Problem | None:
        peculiar = self._judge(answer, self.source) if self._judge is not None and complete else None
        if peculiar is not None:
            return peculiar
        if succeeded(answer.status) or answer.status in allow:
            return None
        return problem_of_status(answer.status, answer.headers, self._endpoint)

    def remember(self, key: str, seconds: float, ask: Callable[[], T]) -> T:
        """The value of ``ask``, kept in memory for ``seconds`` for this source and revision."""
        whole = (self.source.id, self.source.revision, key)
        return self._joined(self._connector.memory, whole, seconds, ask)

    def _joined(
        self, memory: LocalCache, key: Hashable, seconds: float | Callable[[T], float], ask: Callable[[], T]
    ) -> T:
        """An answer that other callers may wait for too. Each of them gets a failure as its own exception."""
        try:
            with self._holding() as lines:
                return memory.get(key, seconds, ask, self._deadline, served=lambda waiting: _serve(lines, waiting))
        except DeadlinePassed:
            own = ProviderUnavailable(timed_out(self._endpoint.host, self._deadline.seconds))
        except ProviderUnavailable as exc:
            own = ProviderUnavailable(exc.problem)
            own.unanswered = exc.unanswered
        raise own

    @contextmanager
    def _holding(self) -> Iterator[list[_Line]]:
        """The lines of the calls made inside, noted at the end; inside another such block, at the end of that one."""
        mine: list[_Line] = []
        outer = self._lines.held
        self._lines.held = mine
        try:
            yield mine
        finally:
            self._lines.held = outer
            for line in mine:
                self._note(line)

    def each(self, work: Callable[[T], R], things: Iterable[T], *, at_once: int = 8) -> list[R]:
        """``work`` over all things, several at a time, inside the same deadline; the first failure is raised."""
        todo = list(things)
        if len(todo) <= 1:
            return [work(thing) for thing in todo]
        with ThreadPoolExecutor(min(at_once, len(todo)), thread_name_prefix=f"each {self.source.slug}") as pool:
            results = [pool.submit(work, thing) for thing in todo]
            done, _ = wait(results, return_when=FIRST_EXCEPTION)
            # Every call ends with the deadline, so waiting for those under way is bounded.
            pool.shutdown(cancel_futures=True)
        failed = next((result for result in results if result in done and result.exception()), None)
        return [result.result() for result in ([failed] if failed else results)]


def _serve(lines: list[_Line], waiting: int) -> None:
    """The last call is the one whose answer, or failure, the others have too."""
    if lines:
        lines[-1].served += waiting


def _endpoint_at(url: str) -> Endpoint:
    try:
        return parse_endpoint(url)
    except InvalidInput as exc:
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, str(exc)) from None
