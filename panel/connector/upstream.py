"""Conversations with sources: the only thing a leaf can call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from panel.connector.allowed import AllowList
from panel.connector.answer import Answer
from panel.connector.classify import problem_of_status, succeeded, timed_out
from panel.connector.deadline import Deadline, DeadlinePassed
from panel.connector.guard import Guard
from panel.connector.headers import Sign, outgoing
from panel.connector.ladder import Prober
from panel.connector.memory import Memory
from panel.connector.place import Place, path_of, place_of
from panel.connector.resolve import Resolver
from panel.connector.source import SourceConfig
from panel.connector.transport import Call, Transport
from panel.domain import Problem, Reason, Rung
from panel.errors import InvalidInput, ProviderUnavailable

T = TypeVar("T")
R = TypeVar("R")

Judge = Callable[[Answer, SourceConfig], Problem | None]

MAX_BYTES = 5 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made, for the call log and the budgets: face, principal, request id."""

    face: str
    principal: str
    request_id: str = ""


class Journal(Protocol):
    """Hears of every call that was made, without query values, bodies or secrets."""

    def record(
        self, source: SourceConfig, caller: Caller, where: str, status: int | None, reason: Reason | None, ms: int
    ) -> None: ...


class _Silent:
    def record(self, *args: object) -> None:
        """Nobody listens."""


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
    ) -> None:
        self._guard = Guard(lambda: AllowList.of(tuple(allowed())), resolver or Resolver())
        self._deadline_s = deadline_s
        self.transport = Transport(self._guard, max_bytes=max_bytes)
        self.journal: Journal = journal or _Silent()
        self.sign = sign
        self.memory = Memory()
        self._prober = Prober(self._guard, self.transport)

    def open(
        self, source: SourceConfig, caller: Caller, *, judge: Judge | None = None, deadline_s: float | None = None
    ) -> Upstream:
        """A conversation with one absolute deadline: the given one, the source's, or the deployment's."""
        return Upstream(self, source, caller, judge, Deadline(deadline_s or source.timeout_s or self._deadline_s))

    def is_opened(self, url: str) -> bool:
        """Whether the deployment opened the address of ``url``, so that plain http may carry a credential there."""
        return self._guard.is_opened(place_of(url.partition("?")[0]), Deadline(self._deadline_s))

    def probe_address(self, source: SourceConfig, *, deadline_s: float) -> tuple[Rung, Problem | None]:
        return self._prober.address(source, Deadline(deadline_s))

    def probe_tls(self, source: SourceConfig, *, deadline_s: float) -> tuple[Rung, Problem | None]:
        return self._prober.tls(source, Deadline(deadline_s))

    def probe_http(self, source: SourceConfig, *, deadline_s: float) -> tuple[Rung, Problem | None]:
        return self._prober.http(source, Deadline(deadline_s))


class Upstream:
    """One conversation: every call in it shares the caller and one absolute deadline."""

    def __init__(
        self, connector: Connector, source: SourceConfig, caller: Caller, judge: Judge | None, deadline: Deadline
    ) -> None:
        self.source = source
        self._connector, self._caller, self._judge, self._deadline = connector, caller, judge, deadline
        self._place = _place(source)

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing outlives a conversation: each call has closed its own connection."""

    @property
    def seconds_left(self) -> float:
        return self._deadline.left

    def get(
        self,
        *segments: str,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json",
        allow: Collection[int] = (),
    ) -> Answer:
        """GET ``root/segments…``. See ``send``."""
        return self.send("GET", *segments, query=query, accept=accept, allow=allow)

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
    ) -> Answer:
        """Make one call and return its complete answer when its status is 2xx or in ``allow``.

        Each segment is percent-encoded by itself. Raises ProviderUnavailable with the classified reason otherwise.
        """
        call = Call(
            method,
            self._place,
            self._place.target(segments, query),
            outgoing(self.source, accept=accept, content_type=content_type, more=headers, sign=self._connector.sign),
            body,
            self.source.signs_in,
            self.source.ca_file,
        )
        return self._made(call, allow)

    def _made(self, call: Call, allow: Collection[int]) -> Answer:
        started, where = time.monotonic(), f"{call.method} {path_of(call.target)}"
        status: int | None = None
        problem: Problem | None = None
        try:
            reply = self._connector.transport.exchange(call, self._deadline, allow=allow)
            status = reply.status
            answer = Answer(reply.status, reply.headers, reply.body or b"", where)
            problem = self._judged(answer, complete=reply.body is not None, allow=allow)
        except ProviderUnavailable as exc:
            problem = exc.problem
            raise
        finally:
            ms = round((time.monotonic() - started) * 1000)
            self._note(where, status, problem.reason if problem is not None else None, ms)
        if problem is not None:
            failure = ProviderUnavailable(problem)
            failure.unanswered = reply.body is None and reply.status >= 500
            raise failure
        return answer

    def _note(self, where: str, status: int | None, reason: Reason | None, ms: int) -> None:
        try:
            self._connector.journal.record(self.source, self._caller, where, status, reason, ms)
        except Exception:
            # A call that went well is not undone by a log that cannot be written.
            log.exception("A call to source %s could not be noted", self.source.slug)

    def _judged(self, answer: Answer, *, complete: bool, allow: Collection[int]) -> Problem | None:
        peculiar = self._judge(answer, self.source) if self._judge is not None and complete else None
        if peculiar is not None:
            return peculiar
        if succeeded(answer.status) or answer.status in allow:
            return None
        return problem_of_status(answer.status, answer.headers, self._place)

    def remember(self, key: str, seconds: float, ask: Callable[[], T]) -> T:
        """The value of ``ask``, kept in memory for ``seconds`` for this source and revision."""
        try:
            return self._connector.memory.get((self.source.id, self.source.revision, key), seconds, ask, self._deadline)
        except DeadlinePassed:
            raise ProviderUnavailable(timed_out(self._place.host, self._deadline.seconds)) from None

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


def _place(source: SourceConfig) -> Place:
    try:
        return place_of(source.root)
    except InvalidInput as exc:
        raise ProviderUnavailable.because(Reason.SOURCE_INVALID, str(exc)) from None
