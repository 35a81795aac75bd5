"""One conversation with a source: the calls that an integration makes, under one deadline."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Protocol, TypeVar

from panel.connector.adapter import OutgoingRequest
from panel.connector.cached_read import CachedRead
from panel.connector.caller import Caller, Journal
from panel.connector.classify import problem_of_status, refuses, succeeded, timed_out
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.endpoint import Endpoint, outline_of, path_of
from panel.connector.headers import OauthSigner, request_headers, with_credential
from panel.connector.limiter import Limiter, NoLimits, Outcome, RetryBudget
from panel.connector.local_cache import LocalCache
from panel.connector.optional import LEAST_S, SHARE, Notes, NotesOfSources, Pauses
from panel.connector.response import Answer
from panel.connector.shared_cache import CachedAnswer, SharedCache, fetch_once
from panel.connector.source import AuthKind, SourceConfig
from panel.connector.transport import RawResponse, Transport
from panel.core.domain import Problem
from panel.core.errors import InvalidInput, ProviderUnavailable
from panel.core.reasons import Reason

T = TypeVar("T")
R = TypeVar("R")

Classify = Callable[[Answer, SourceConfig], Problem | None]
"""Classifies an answer by rules that only its integration knows; None leaves it to the status code."""

Renew = Callable[["Upstream", Answer], Answer | None]
"""Makes the present answer from a former one, with fewer or cheaper calls; None where it has to be read in full."""
RENEWAL = "renewal"
"""The name under which renewals rest after a failure, for each source."""

SAFE_METHODS = frozenset({"GET", "HEAD"})

log = logging.getLogger(__name__)


class Services(Protocol):
    """What all conversations of a process share. ``Connector`` provides it."""

    transport: Transport
    journal: Journal
    signer: OauthSigner | None
    retries: RetryBudget
    values: LocalCache
    answers: LocalCache
    shared: SharedCache
    cache_ttl_s: float
    reread_s: float
    pauses: Pauses
    notes: NotesOfSources


@dataclass(slots=True)
class _CallRecord:
    """A call that was made, for the journal."""

    where: str
    status: int | None
    reason: Reason | None
    ms: int
    size: int
    served: int = 1


class _HeldRecords(threading.local):
    """Records that a thread holds until it is known how many callers each call answered."""

    records: list[_CallRecord] | None = None


class Upstream:
    """One conversation: all its calls share the caller and one absolute deadline."""

    may_have_written = False
    """Whether a write was sent that may have taken effect: it succeeded, or no answer proves that it was refused."""

    def __init__(
        self,
        services: Services,
        source: SourceConfig,
        caller: Caller,
        classify: Classify | None,
        deadline: Deadline,
        *,
        endpoint: Endpoint | None = None,
        limiter: Limiter | NoLimits | None = None,
        fresh: bool = True,
        is_optional: bool = False,
        shares: bool = False,
    ) -> None:
        self.source, self.fresh, self._shares = source, fresh, shares
        self._limiter, self._is_optional = limiter or NoLimits(), is_optional
        self._services, self._caller, self._classify, self._deadline = services, caller, classify, deadline
        self._endpoint = endpoint or valid_endpoint(lambda: source.endpoint, "location")
        self._held = _HeldRecords()
        self._ends: list[float] = []

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release: each call closes its connection, or leaves it to the next one."""

    @property
    def seconds_left(self) -> float:
        return self._deadline.left

    @property
    def holds_until(self) -> float:
        """When the first of the answers so far must be asked for again, on the monotonic clock.

        0 without an answer, or with one that is not cached.
        """
        return min(self._ends, default=0.0)

    def obtain_credential(self) -> None:
        """Get the credential before the first call, so that a failure is reported as one of the sign-in.

        Raises ProviderUnavailable.
        """
        with_credential({}, self.source, self._services.signer, self._deadline, self._caller)

    def get(
        self,
        *segments: str,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json",
        allow: Collection[int] = (),
        renew: Renew | None = None,
    ) -> Answer:
        """GET ``root/segments…``; parameters and errors as for ``send``.

        Identical concurrent reads share one request (single flight), and the answer is cached for seconds. When its
        time is over, ``renew`` may make the present answer from it, as an optional part of the source. The whole is
        read again ``reread_s`` after it was read, and after a failed renewal.
        """
        if self.fresh:
            self._ends.append(0.0)
            return self.send("GET", *segments, query=query, accept=accept, allow=allow)
        key, services = self._cache_key(segments, query, accept, allow), self._services

        def read() -> Answer:
            return self.send("GET", *segments, query=query, accept=accept, allow=allow)

        if services.cache_ttl_s <= 0:
            return self._single_flight(services.answers, key, 0.0, lambda: CachedAnswer(read(), 0.0)).answer
        renewed = None if renew is None else partial(self._renewed, renew)
        cached = CachedRead(services.cache_ttl_s, services.reread_s, read, renewed)
        return self._single_flight(
            services.answers, key, lambda kept: kept.seconds,
            lambda: fetch_once(services.shared, key, cached.fetch, self._deadline), over=cached.note_last,
        ).answer  # fmt: skip

    def _renewed(self, renew: Renew, former: Answer) -> Answer | None:
        return self.optional(RENEWAL, lambda part: renew(part, former))

    def _cache_key(
        self, segments: Sequence[str], query: Sequence[tuple[str, str]], accept: str, allow: Collection[int]
    ) -> bytes:
        """Everything that an answer depends on, hashed, so that a dump of the cache reveals no query."""
        state = (self.source.id, self.source.revision, self._limiter.epoch(self.source), self.source.root)
        parts = (*state, self._endpoint.target(segments, query), accept, *sorted(allow))
        return hashlib.sha256("\n".join(map(str, parts)).encode()).digest()

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

        Each segment is percent-encoded by itself. ``reads`` marks a call that changes nothing, whatever its method.
        Raises ProviderUnavailable with the classified reason otherwise.
        """
        request = OutgoingRequest(
            method,
            self._endpoint,
            self._endpoint.target(segments, query),
            request_headers(self.source, accept=accept, content_type=content_type, more=headers),
            body,
            self.source.sends_secret,
            self.source.ca_file,
            self.source.connection_endpoint(self._endpoint),
            reads=reads or method in SAFE_METHODS,
            shares=(self.source.id, self.source.revision) if self._shares else None,
        )
        return self._read(request, allow) if request.reads else self._write(request, allow)

    def _read(self, request: OutgoingRequest, allow: Collection[int]) -> Answer:
        """Retry a read once when the failure is transient and the retry budget allows it."""
        try:
            return self._send_once(request, allow)
        except ProviderUnavailable as exc:
            if self._is_optional or not self._services.retries.allows(exc.problem, self._deadline):
                raise
        return self._send_once(request, allow)

    def _write(self, request: OutgoingRequest, allow: Collection[int]) -> Answer:
        """Send a write once. A failed write may have taken effect, so cached answers become invalid either way."""
        try:
            return self._send_once(request, allow)
        finally:
            self._limiter.advance(self.source)

    def _send_once(self, request: OutgoingRequest, allow: Collection[int]) -> Answer:
        if self.source.auth.kind is AuthKind.OAUTH2 and self._services.signer is not None:
            return self._send_with_token(request, allow, self._services.signer)
        return self.perform(self._authenticated(request), allow)

    def _authenticated(self, request: OutgoingRequest) -> OutgoingRequest:
        headers = with_credential(request.headers, self.source, self._services.signer, self._deadline, self._caller)
        return replace(request, headers=headers)

    def _send_with_token(self, request: OutgoingRequest, allow: Collection[int], signer: OauthSigner) -> Answer:
        """Report a refused token to the signer, and repeat a read once with a new token."""
        signed = self._authenticated(request)
        answer, refusal = self._perform_or_refusal(signed, allow)
        # ``allow`` may contain 401, which then comes as an answer and not as a refusal.
        if answer is not None and answer.status != 401:
            return answer
        signer.refused(self.source, signed.headers["Authorization"])
        if request.reads:
            answer, refusal = self._perform_or_refusal(self._authenticated(request), allow)
        if answer is not None:
            return answer
        assert refusal is not None  # noqa: S101  (one of the two is always there)
        failure = ProviderUnavailable(signer.refusal(self.source, refusal.problem))
        failure.in_doubt, failure.status = refusal.in_doubt, refusal.status
        raise failure

    def _perform_or_refusal(
        self, request: OutgoingRequest, allow: Collection[int]
    ) -> tuple[Answer | None, ProviderUnavailable | None]:
        """The answer, or why the credential was refused. Raises ProviderUnavailable for any other failure."""
        try:
            return self.perform(request, allow), None
        except ProviderUnavailable as exc:
            if exc.reason is not Reason.CREDENTIALS_REJECTED:
                raise
            return None, exc

    def perform(self, request: OutgoingRequest, allow: Collection[int]) -> Answer:
        """Send ``request`` unchanged, within the limits, and record it in the journal. Errors as for ``send``."""
        started, where = time.monotonic(), f"{request.method} {path_of(request.target)}"
        status: int | None = None
        size = 0
        problem: Problem | None = None
        try:
            with self._limiter.acquire(self.source, self._caller.budget, self._deadline) as outcome:
                raw = self._exchange(request, allow, outcome)
                status, size = raw.status, len(raw.body or b"")
                answer = Answer(raw.status, raw.headers, raw.body or b"", where)
                problem = self._problem_of(answer, complete=raw.body is not None, allow=allow)
                self._report(outcome, problem, request)
        except ProviderUnavailable as exc:
            problem = exc.problem
            exc.in_doubt = self._note_write(request, sent=exc.unanswered, status=None)
            raise
        finally:
            ms = round((time.monotonic() - started) * 1000)
            outline = f"{request.method} {outline_of(request.target)}"
            self._record(_CallRecord(outline, status, problem.reason if problem is not None else None, ms, size))
        in_doubt = self._note_write(request, sent=True, status=raw.status)
        if problem is not None:
            failure = ProviderUnavailable(problem)
            failure.status = raw.status
            # A 5xx whose body is cut off may come from a proxy, so the call may have taken effect.
            failure.unanswered = raw.body is None and raw.status >= 500
            failure.in_doubt = in_doubt
            raise failure
        return answer

    def _note_write(self, request: OutgoingRequest, *, sent: bool, status: int | None) -> bool:
        """Whether the request is a write that may have taken effect; noted in ``may_have_written``."""
        may_have_written = not request.reads and sent and (status is None or not refuses(status))
        self.may_have_written |= may_have_written
        return may_have_written

    def _exchange(self, request: OutgoingRequest, allow: Collection[int], outcome: Outcome) -> RawResponse:
        """Send the request. Only failures of the exchange reach the breaker; a refusal by our own limits does not."""
        try:
            return self._services.transport.exchange(request, self._deadline, allow=allow)
        except ProviderUnavailable as exc:
            self._report(outcome, exc.problem, request)
            raise

    def _report(self, outcome: Outcome, problem: Problem | None, request: OutgoingRequest) -> None:
        """Report the outcome to the limiter. A failure of an optional part says nothing about the source."""
        if problem is None or not self._is_optional:
            tells = problem is None or problem.reason is not Reason.FORBIDDEN or request.reads
            outcome.report(problem, tells=tells)

    def _problem_of(self, answer: Answer, *, complete: bool, allow: Collection[int]) -> Problem | None:
        """Why the answer is a failure, or None. The integration's rules come before those of HTTP."""
        specific = self._classify(answer, self.source) if self._classify is not None and complete else None
        if specific is not None:
            return specific
        if succeeded(answer.status) or answer.status in allow:
            return None
        return problem_of_status(answer.status, answer.headers, self._endpoint)

    def _record(self, call: _CallRecord) -> None:
        if self._held.records is not None:
            self._held.records.append(call)
            return
        details = (call.where, call.status, call.reason, call.ms, call.size, call.served)
        try:
            self._services.journal.record(self.source, self._caller, *details)
        except Exception:
            # A failing log must not turn a successful call into a failure.
            log.exception("A call to source %s could not be recorded", self.source.slug)

    def remember(
        self, key: str, seconds: float | Callable[[T], float], fetch: Callable[[], T], *, renew: bool = False
    ) -> T:
        """The value of ``fetch``, cached in this process for ``seconds``, per source and revision.

        ``seconds`` may be a function of the value. With ``renew`` a cached value is replaced.
        """
        whole = (self.source.id, self.source.revision, key)
        return self._single_flight(self._services.values, whole, seconds, fetch, renew=renew)

    def optional(self, name: str, work: Callable[[Upstream], T], *, share: float = SHARE) -> T | None:
        """The result of ``work`` with a part of the source without which the rest is right; None without it.

        ``work`` gets a conversation with ``share`` of this one's deadline. Its failures neither open the breaker of the
        source nor hold its calls off. After one, the part ``name`` rests for a while (``Pauses``).
        """
        seconds = min(share * self._deadline.seconds, self._deadline.left / 2)
        pauses = self._services.pauses
        if seconds < LEAST_S or not pauses.admits(self.source, name, seconds):
            return None
        try:
            result = work(self._part(seconds))
        except ProviderUnavailable as exc:
            pauses.failed(self.source, name, exc.problem)
            return None
        pauses.succeeded(self.source, name)
        return result

    def _part(self, seconds: float) -> Upstream:
        part = Upstream(
            self._services, self.source, self._caller, self._classify, Deadline(seconds), endpoint=self._endpoint,
            limiter=self._limiter, fresh=self.fresh, is_optional=True, shares=self._shares,
        )  # fmt: skip
        part._ends, part._held = self._ends, self._held
        return part

    def notes(self, name: str) -> Notes:
        """Keys that this process noted about the source under this name, such as references that it did not show."""
        return self._services.notes.of(self.source, name)

    def _single_flight(
        self, cache: LocalCache, key: Hashable, seconds: float | Callable[[T], float], fetch: Callable[[], T],
        *, over: Callable[[T, float], None] = lambda value, until: None, renew: bool = False,
    ) -> T:  # fmt: skip
        """Fetch through ``cache``, which shares one fetch between concurrent callers.

        A shared failure is raised as a new exception for each caller, because callers set attributes on it.
        """
        try:
            with self._hold_records() as records:
                return cache.get(
                    key, seconds, fetch, self._deadline,
                    served=lambda waiting: _add_served(records, waiting),
                    attend=lambda: self._limiter.attend(self.source, self._deadline),
                    ends=self._ends.append,
                    over=over,
                    renew=renew,
                )  # fmt: skip
        except DeadlinePassed:
            own = ProviderUnavailable(timed_out(self._endpoint.host, self._deadline.seconds))
        except ProviderUnavailable as exc:
            own = ProviderUnavailable(exc.problem)
            own.unanswered, own.status = exc.unanswered, exc.status
        raise own

    @contextmanager
    def _hold_records(self) -> Iterator[list[_CallRecord]]:
        """Hold the records of calls made inside the block, and pass them on at its end.

        Inside another such block, they are passed to that block.
        """
        held: list[_CallRecord] = []
        outer = self._held.records
        self._held.records = held
        try:
            yield held
        finally:
            self._held.records = outer
            for call in held:
                self._record(call)

    def each(self, work: Callable[[T], R], things: Iterable[T], *, at_once: int = 8) -> list[R]:
        """Apply ``work`` to all things, ``at_once`` in parallel, within the deadline. Raises the first failure."""
        todo = list(things)
        if len(todo) <= 1:
            return [work(thing) for thing in todo]
        with ThreadPoolExecutor(min(at_once, len(todo)), thread_name_prefix=f"each {self.source.slug}") as pool:
            results = [pool.submit(work, thing) for thing in todo]
            done, _ = wait(results, return_when=FIRST_EXCEPTION)
            # Every call ends with the deadline, so waiting for running ones is bounded.
            pool.shutdown(cancel_futures=True)
        failed = next((result for result in results if result in done and result.exception()), None)
        return [result.result() for result in ([failed] if failed else results)]


def _add_served(records: list[_CallRecord], waiting: int) -> None:
    """Count the waiting callers on the last call: its answer, or its failure, is the one that they share."""
    if records:
        records[-1].served += waiting


def valid_endpoint(read: Callable[[], Endpoint], field: str) -> Endpoint:
    """The address that ``read`` returns. Raises ProviderUnavailable (source-invalid) for one that cannot be called."""
    try:
        return read()
    except InvalidInput as exc:
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, exc.message, field=field) from None
