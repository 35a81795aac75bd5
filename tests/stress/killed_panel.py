"""A served panel whose processes are killed while requests are under way, and what is known of each request."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from served import Server, request
from support import Upstreams
from werkzeug.wrappers import Request, Response

MOMENTS = {"sent": 6, "received": 6, "created": 2, "delivered": 6, "create delivered": 2, "answered": 5}
"""When a process is killed: after the n-th event of a kind, with the largest n. All but ``sent`` and ``answered``, which
the clients see, are events of the upstreams: a request arrives, a create was carried out, an answer was taken."""
LATEST_S = 0.02
"""How long after its event a process is killed at the latest: about as long as the panel then works on an answer."""

Pointer = tuple[str, str, str]
"""Object id, integration, reference."""


@dataclass
class Asked:
    """One request, and its answer; ``status`` is None when none came."""

    action: str
    leaf: str
    object_id: str
    value: str
    """The reference to link or to unlink, or the title of what is created."""
    key: str = ""
    status: int | None = None
    reference: str = ""
    message: str = ""

    @property
    def pointer(self) -> Pointer:
        return self.object_id, self.leaf, self.value


class Moments:
    """Counts the events of a round and kills at one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: tuple[str, int] | None = None
        self._timer = threading.Timer(0, lambda: None)
        self._seen: Counter[str] = Counter()

    def arm(self, seeded: random.Random, kill: Callable[[], object]) -> None:
        """Choose the moment of the next kill."""
        kind = seeded.choice(tuple(MOMENTS))
        delay_s = seeded.choice((0.0, seeded.uniform(0, LATEST_S)))
        with self._lock:
            self._armed, self._seen = (kind, seeded.randint(1, MOMENTS[kind])), Counter()
            self._timer = threading.Timer(delay_s, kill)

    def reach(self, kind: str) -> None:
        with self._lock:
            self._seen[kind] += 1
            if (kind, self._seen[kind]) == self._armed:
                self._armed = None
                self._timer.start()
                if not self._timer.interval:
                    self._timer.join()  # What comes after this event, such as the answer, must not come.

    def end(self) -> bool:
        """Wait for the kill, and start it if its event has not come. Whether it had come."""
        with self._lock:
            was_reached, self._armed = self._armed is None, None
        if not was_reached:
            self._timer.start()
        self._timer.join()
        return was_reached

    def watch(self, upstreams: Upstreams) -> None:
        """Let the events of both upstreams count."""
        for standin in (upstreams.xwiki, upstreams.openproject):
            standin.on_request = lambda request: self.reach("received")
            standin.finish = self._finish

    def _finish(self, request: Request, response: Response) -> Response:
        if response.status_code == 201:
            self.reach("created")
            response.call_on_close(lambda: self.reach("create delivered"))
        response.call_on_close(lambda: self.reach("delivered"))
        return response


class Client:
    """Sends requests with one token, each on a connection of its own."""

    def __init__(self, port: int, token: str, moments: Moments) -> None:
        self._port, self._token, self._moments = port, token, moments

    def send_all(self, batch: list[Asked]) -> None:
        """Send all at once and wait for their ends."""
        with ThreadPoolExecutor(len(batch)) as pool:
            list(pool.map(self.send, batch))

    def send(self, asked: Asked) -> None:
        method, path, body = _as_http(asked)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._moments.reach("sent")
        with suppress(OSError, http.client.HTTPException):
            answer = request(
                self._port, method, path, body, headers | ({"Idempotency-Key": asked.key} if asked.key else {})
            )
            asked.status = answer.status
            said = json.loads(answer.body) if answer.body else {}
            asked.reference, asked.message = str(said.get("reference", "")), str(said.get("message", ""))
            self._moments.reach("answered")


def _as_http(asked: Asked) -> tuple[str, str, bytes | None]:
    base = f"/api/objects/demo/case/{asked.object_id}/integrations/{asked.leaf}"
    if asked.action == "unlink":
        return "DELETE", f"{base}/{quote(asked.value, safe='')}", None
    if asked.action == "link":
        return "POST", base, json.dumps({"reference": asked.value}).encode()
    xwiki = {"space": "Sandbox", "title": asked.value}
    values = xwiki if asked.leaf == "xwiki" else {"projectId": "1", "subject": asked.value}
    return "POST", f"{base}/new", json.dumps(values).encode()


@dataclass(frozen=True)
class Stored:
    """What the database of the panel holds."""

    pointers: Counter[Pointer]
    open_creates: set[str]
    """Object ids."""
    balance: Counter[Pointer]
    """By the audit trail: how often each was linked or created, less how often it was unlinked."""

    @classmethod
    def read(cls, file: Path) -> Stored:
        with closing(sqlite3.connect(file)) as database:
            rows = database.execute("SELECT object_id, integration, reference FROM link").fetchall()
            opened = {object_id for (object_id,) in database.execute("SELECT object_id FROM open_create")}
            balance: Counter[Pointer] = Counter()
            for deed, *pointer in database.execute("SELECT deed, object_id, integration, subject FROM audit_entry"):
                change = {"link": 1, "create": 1, "unlink": -1}.get(deed, 0)
                balance[pointer[0], pointer[1], pointer[2]] += change
        return cls(Counter(rows), opened, +balance)


@dataclass
class Processes:
    """The processes of one served panel."""

    server: Server
    random: random.Random
    killed: int = 0

    @property
    def master(self) -> int:
        return children(self.server.process.pid)[0]

    def kill_workers(self) -> None:
        """One of them, or all. There is none while gunicorn replaces them."""
        workers = children(self.master)
        self._kill(workers if self.random.random() < 0.5 else self.random.sample(workers, min(1, len(workers))))

    def kill_group(self) -> None:
        """The process that `make serve` starts, gunicorn, and its workers."""
        master = self.master
        self._kill([*children(master), master, self.server.process.pid])

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed += 1


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Batches:
    """The requests of each round. Every create has an object of its own, by which its open create is found."""

    random: random.Random
    linked: set[Pointer] = field(default_factory=set)
    """Pointers that are known to be there, which a round may unlink."""
    number: int = 0

    def next(self) -> list[Asked]:
        """Two creates, one of them sent twice with one key; a link, sent twice; and an unlink."""
        self.number += 1
        first, second = self.random.sample(("xwiki", "openproject"), 2)
        plain, keyed, linked = (f"{self.number}-{what}" for what in ("plain", "keyed", "link"))
        reference = self.random.choice(("101", "102"))
        batch = [
            Asked("create", first, plain, f"T{plain}"),
            *(Asked("create", second, keyed, f"T{keyed}", key=f"key-{keyed}") for _ in range(2)),
            *(Asked("link", "openproject", linked, reference) for _ in range(2)),
        ]
        if self.linked:
            object_id, leaf, gone = self.random.choice(sorted(self.linked))
            batch.append(Asked("unlink", leaf, object_id, gone))
        self.random.shuffle(batch)
        return batch
