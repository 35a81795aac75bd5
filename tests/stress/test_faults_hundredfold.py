"""Every kind of misbehaviour a hundred times: in time, with the right reason, and with nothing left behind."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import trustme
from connector.connectors import CALLER, connector, source
from connector.faults import FaultServer, black_hole, refused
from machine import closed, cpu_s, forget_peak, lag, memory, open_files, process, settled

from panel.connector import Connector, Upstream
from panel.core.errors import ProviderUnavailable
from panel.core.reasons import Reason

pytestmark = pytest.mark.alone

RUNS = 100
DEADLINE = 1.0
GRACE = 0.25
PATIENTLY, BUSILY = 48, 2
"""How many wait at once on a fault that hangs, and how many work at once on one that keeps the processor busy."""
LOOKUPS = 32
"""A lookup cannot be interrupted, so threads may wait for a name service until it answers; never more than this."""

FAULTS = {
    Reason.TIMEOUT: ("hang", "status-drip", "head-drip", "body-drip", "chunk-drip", "half-then-hang"),
    Reason.CONNECT: ("close", "reset", "reset-mid-body", "short-body", "short-chunk", "no-last-chunk"),
    Reason.UNEXPECTED_RESPONSE: (
        "garbage-chunks", "broken-gzip", "cut-gzip", "layered-gzip", "garbage-status", "two-lengths", "404",
    ),
    Reason.TOO_LARGE: ("gzip-bomb", "endless-body", "announced-too-long", "endless-header", "many-headers"),
    Reason.UNEXPECTED_REDIRECT: ("302", "307"),
    Reason.SERVER_ERROR: ("500", "500-drip"),
    Reason.RATE_LIMITED: ("429-seconds",),
    Reason.CREDENTIALS_REJECTED: ("401",),
    Reason.FORBIDDEN: ("403",),
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    name: str
    reason: Reason
    open: Callable[[], Upstream]
    waits: bool


@dataclass(frozen=True)
class Run:
    kind: str
    reason: Reason | None
    took: float


# --- a server in a process of its own, so that its work is not counted as ours ---------------------------------------


def _misbehave(pipe: Connection) -> None:
    plain, mute, dripping = FaultServer(), FaultServer(greet=_listen), FaultServer(greet=_drip)
    pipe.send([plain.host_port, mute.host_port, dripping.host_port])
    closed(pipe)


def _listen(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def _drip(sock: socket.socket) -> None:
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 400:
        sock.sendall(bytes([byte]))
        time.sleep(0.05)


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[str]]:
    with process(_misbehave) as pipe:
        yield pipe.recv()


@pytest.fixture
def kinds(hosts: list[str], tmp_path: Path) -> Iterator[list[Kind]]:
    """All of them through one connector, as in a running panel, but for the name service, which has one of its own."""
    plain, mute, dripping = hosts
    over = threading.Event()
    lost = connector("wiki.test:80", lookup=lambda host, port: [str(over.wait(60))])
    with trustme.CA().cert_pem.tempfile(dir=str(tmp_path)) as ca, black_hole() as hole, refused() as nobody:
        hole, nobody = (root.removeprefix("http://") for root in (hole, nobody))
        outgoing = connector(plain, mute, dripping, hole, nobody)

        def kind(name: str, reason: Reason, root: str, at: Connector = outgoing) -> Kind:
            waits = reason in (Reason.TIMEOUT, Reason.DNS) or name.endswith("-drip")
            config = source(root, ca_file=ca)
            # Fresh, or those who ask for the same at once would share one call.
            return Kind(name, reason, lambda: at.open(config, CALLER, deadline_s=DEADLINE, fresh=True), waits)

        yield [
            kind("black-hole", Reason.TIMEOUT, f"http://{hole}"),
            kind("mute-tls", Reason.TIMEOUT, f"https://{mute}"),
            kind("dripping-tls", Reason.TIMEOUT, f"https://{dripping}"),
            kind("hanging-name-service", Reason.DNS, "http://wiki.test", lost),
            kind("refused", Reason.CONNECT, f"http://{nobody}"),
            *(kind(name, reason, f"http://{plain}") for reason, names in FAULTS.items() for name in names),
        ]
        over.set()


# --- the hundred ------------------------------------------------------------------------------------------------------


def run(kind: Kind) -> Run:
    started = time.monotonic()
    try:
        kind.open().get(kind.name)
        reason = None
    except ProviderUnavailable as exc:
        reason = exc.reason
    return Run(kind.name, reason, time.monotonic() - started)


def hundredfold(kinds: list[Kind], *, at_once: int) -> list[Run]:
    """A hundred runs of each kind, mixed, so that no kind has a quiet moment of its own."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, kinds * RUNS))


def test_every_kind_of_fault_ends_in_time_with_its_reason_a_hundred_times_and_leaves_nothing_behind(
    kinds: list[Kind], capsys: pytest.CaptureFixture[str]
) -> None:
    with lag() as machine:
        threads, files = threading.active_count(), open_files()
        machine.worst()
        runs = hundredfold([kind for kind in kinds if kind.waits], at_once=PATIENTLY)
        runs += hundredfold([kind for kind in kinds if not kind.waits], at_once=BUSILY)
        late = machine.worst()
        lookups = sum(thread.name.startswith("resolve ") for thread in threading.enumerate())
        is_settled = settled(threads + lookups, files)

    worst = max(runs, key=lambda each: each.took)
    with capsys.disabled():
        print(
            f"\n  {len(kinds)} kinds × {RUNS}: the worst answer took {worst.took:.3f} s ({worst.kind}) of "
            f"{DEADLINE + GRACE:.2f} s; the machine itself was up to {late * 1000:.0f} ms late"
        )
    assert len(kinds) >= 25
    assert Counter((each.kind, each.reason) for each in runs) == {(kind.name, kind.reason): RUNS for kind in kinds}
    assert worst.took <= DEADLINE + GRACE + late, worst
    assert lookups <= LOOKUPS
    assert is_settled, (threads, threading.active_count(), files, open_files())


# --- what one hostile answer may cost ---------------------------------------------------------------------------------

HOSTILE = ("gzip-bomb", "302-bomb", "endless-body", "endless-continue", "object-bomb")


def _cost(pipe: Connection, host_port: str, name: str) -> None:
    """Read one answer as a leaf would, and send what it cost: memory above what was there, processor seconds."""
    outgoing = connector(host_port)
    upstream = outgoing.open(source(f"http://{host_port}"), CALLER, deadline_s=5)
    upstream.get("ok").object()
    forget_peak()
    before, used = memory("VmRSS"), cpu_s()
    try:
        upstream.get(name).object()
        reason = None
    except ProviderUnavailable as exc:
        reason = exc.reason
    pipe.send((reason, memory("VmHWM") - before, cpu_s() - used))
    closed(pipe)


@pytest.mark.parametrize("name", HOSTILE)
def test_one_hostile_answer_costs_little_memory_and_little_time(
    hosts: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with process(_cost, hosts[0], name) as pipe:
        reason, grown, used = pipe.recv()

    with capsys.disabled():
        print(f"\n  {name}: {reason}, {grown / 2**20:+.1f} MiB, {used:.2f} processor seconds", end="")
    assert reason is not None
    assert grown <= 64 * 2**20
    assert used <= 1.0
