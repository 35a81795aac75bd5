"""Processes of a served panel are killed with SIGKILL: nothing is lost, nothing doubled, and every unknown is listed.

PANEL_TEST_KILL_ROUNDS=500 runs 500 rounds.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from killed_panel import Asked, Batches, Client, Moments, Processes, Stored
from served import served
from support import ALICE, Upstreams, api_token

from panel.links import open_creates
from panel.services import Panel
from panel.storage.engine import db

ROUNDS = int(os.environ.get("PANEL_TEST_KILL_ROUNDS", "100"))
STARTS = max(3, ROUNDS // 50)
"""How often the panel is started. Each of these ends with a round that kills all of its processes."""
SEED = 20261130


@dataclass
class Ledger:
    """What is known of all rounds, compared with the upstreams and the database after each."""

    upstreams: Upstreams
    database: Path
    batches: Batches
    unknown: set[str] = field(default_factory=set)
    """Objects of creates whose end is not known."""
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def check(self, batch: list[Asked]) -> None:
        """Compare the requests of a round, all of which have ended, with what is stored."""
        stored = Stored.read(self.database)
        for asked in batch:
            self.statuses[f"{asked.action} {asked.status}"] += 1
        self._expect(stored.balance == stored.pointers, "the audit trail tells other pointers than there are")
        self._expect(max(stored.pointers.values(), default=1) == 1, "a pointer is there twice")
        for created in {asked.object_id: asked for asked in batch if asked.action == "create"}.values():
            self._check_create(created, [asked for asked in batch if asked.object_id == created.object_id], stored)
        for changed in (asked for asked in batch if asked.action != "create"):
            self._check_pointer(changed, [one for one in batch if one.pointer == changed.pointer], stored)
        lost = self.batches.linked - set(stored.pointers)
        self._expect(not lost, f"lost: {lost}")
        self.unknown &= stored.open_creates

    def _check_create(self, created: Asked, sent: list[Asked], stored: Stored) -> None:
        made = self._made(created)
        acknowledged = {asked.reference for asked in sent if asked.status == 201}
        pointers = {pointer for pointer in stored.pointers if pointer[0] == created.object_id}
        self._expect(len(made) <= 1, f"{created} made {made}")
        self._expect(acknowledged <= set(made), f"{created} was acknowledged and made {made}")
        self._expect({pointer[2] for pointer in pointers} <= set(made), f"{created} is linked to {pointers}")
        if acknowledged:
            self._expect(bool(pointers), f"{created} was acknowledged and is not linked")
            self._expect(created.object_id not in stored.open_creates, f"{created} is linked and listed as open")
        if made and not pointers:
            self._expect(created.object_id in stored.open_creates, f"{created} made {made}, which nobody hears of")
        for asked in sent:
            self._expect(not (made and "Nothing was" in asked.message), f"{asked} made {made}")
        self.batches.linked |= pointers
        self.unknown |= {created.object_id} & stored.open_creates

    def _made(self, created: Asked) -> list[str]:
        """References of what the upstream made of a create."""
        if created.leaf == "xwiki":
            pages = list(self.upstreams.xwiki.wiki.pages.values())
            return [page.reference.id for page in pages if page.title == created.value]
        packages = list(self.upstreams.openproject.world.work_packages.values())
        return [str(one.id) for one in packages if one.subject == created.value]

    def _check_pointer(self, changed: Asked, sent: list[Asked], stored: Stored) -> None:
        is_there, statuses = changed.pointer in stored.pointers, [asked.status for asked in sent]
        if changed.action == "link":
            self._expect(is_there or 201 not in statuses, f"{changed} was acknowledged and is not there")
            self._expect(statuses.count(201) <= 1, f"{changed} was acknowledged twice")
        else:
            self._expect(not is_there or 204 not in statuses, f"{changed} was acknowledged and is there")
        (self.batches.linked.add if is_there else self.batches.linked.discard)(changed.pointer)

    def _expect(self, is_true: bool, problem: str) -> None:
        if not is_true:
            self.problems.append(f"round {self.batches.number}: {problem}")


@dataclass
class Run:
    """Rounds on one panel, over several starts of its processes."""

    ledger: Ledger
    moments: Moments
    token: str
    random: random.Random
    hit: int = 0
    """Rounds in which the moment of the kill came."""

    def rounds(self, processes: Processes, count: int) -> None:
        """The last one kills the whole group."""
        client = Client(processes.server.port, self.token, self.moments)
        for left in range(count, 0, -1):
            batch = self.ledger.batches.next()
            kill = processes.kill_workers if left > 1 else processes.kill_group
            self.moments.arm(self.random, kill)
            client.send_all(batch)
            self.hit += self.moments.end()
            self.ledger.check(batch)
            if left > 1:
                self._repeat(client, batch)

    def _repeat(self, client: Client, batch: list[Asked]) -> None:
        """Send a create with a key again whose end is not known."""
        keyed = [asked for asked in batch if asked.key]
        if not any(asked.status == 201 for asked in keyed):
            again = replace(keyed[0], status=None)
            client.send(again)
            self.ledger.check([again])


def _settings(upstreams: Upstreams) -> dict[str, str]:
    return {"PANEL_ALLOWED_PRIVATE_HOSTS": upstreams.server.host_port, "PANEL_DEADLINE_S": "3"}


def _let_time_pass(database: Path) -> None:
    """Let the creates that may be under way be older than any request lasts."""
    before = datetime.now(UTC) - open_creates.LONGEST - timedelta(seconds=1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE open_create SET started_at = ?", [before.strftime("%Y-%m-%d %H:%M:%S.%f")])


def test_rounds_of_kill_9(
    connected: Flask, upstreams: Upstreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    started, token = time.monotonic(), api_token(connected, "write")
    with connected.app_context():
        services: Panel = connected.extensions["leafpanel"]
        for slug in ("xwiki", "openproject"):
            # The slots of a killed process stay taken until the deadline of its calls.
            services.sources.change(slug, {"max_concurrency": 100}, by=ALICE)
        db.engine.dispose()
    # Workers that are forked from a process with the application are ready at once.
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--preload")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    seeded, moments = random.Random(SEED), Moments()
    moments.watch(upstreams)
    ledger = Ledger(upstreams, tmp_path / "instance" / "panel.sqlite3", Batches(seeded))
    run, killed = Run(ledger, moments, token, seeded), 0

    for start in range(STARTS):
        with served(tmp_path, **_settings(upstreams)) as server:
            processes = Processes(server, seeded)
            run.rounds(processes, ROUNDS * (start + 1) // STARTS - ROUNDS * start // STARTS)
            killed += processes.killed

    _let_time_pass(ledger.database)
    doctor = connected.test_cli_runner().invoke(args=["doctor"]).output
    with connected.app_context():
        listed = open_creates.unknown_count()
    with capsys.disabled():
        print(
            f"\n  {ledger.batches.number} rounds in {time.monotonic() - started:.0f} s, {STARTS} of them of the whole "
            f"group: {killed} processes killed, {run.hit} times before the end of the round; "
            f"{dict(sorted(ledger.statuses.items()))}; {listed} creates listed without an answer: "
            f"{len(ledger.problems)} problems"
        )
    assert ledger.problems == []
    assert listed == len(ledger.unknown) > 0
    assert f"{listed} creates ended without an answer" in doctor
    assert run.hit > ROUNDS / 2
    assert ledger.statuses["create 201"] > ROUNDS / 4
    assert ledger.statuses["create None"] > ROUNDS / 10
