"""Answers whose time is over are renewed, for all callers together, and read in full where that is not possible."""

from __future__ import annotations

import pytest
from connectors import CALLER, PATIENT, connector, source
from driven_time import DrivenTime
from faults import FaultServer
from test_conversation import Counting, slow, together

from panel.connector import Answer, Connector, Renew, Upstream

TTL_S, REREAD_S = 5.0, 60.0


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> DrivenTime:
    return DrivenTime(monkeypatch)


def caching(faults: FaultServer, journal: Counting) -> Connector:
    return connector(faults.host_port, journal=journal, cache_ttl_s=TTL_S, reread_s=REREAD_S)


def read(outgoing: Connector, faults: FaultServer, name: str = "ok", renew: Renew | None = None) -> Answer:
    upstream = outgoing.open(source(faults.url), CALLER, deadline_s=PATIENT)
    return upstream.get(name, allow=(404,), renew=renew)


def by_another_call(part: Upstream, former: Answer) -> Answer:
    part.send("GET", "gzip")
    return former


def test_one_renewal_answers_all_who_wait_and_its_line_counts_them(faults: FaultServer, driven: DrivenTime) -> None:
    journal = Counting()
    outgoing = caching(faults, journal)
    known = read(outgoing, faults, renew=by_another_call)
    driven.pass_by(TTL_S)
    slow(outgoing, outgoing.answers, 4)

    assert together(outgoing.answers, 5, lambda: read(outgoing, faults, renew=by_another_call)) == [known] * 5
    assert journal.served == [("GET /ok", 1), ("GET /gzip", 5)]


def test_no_failure_is_renewed(faults: FaultServer, driven: DrivenTime) -> None:
    journal = Counting()
    outgoing = caching(faults, journal)
    read(outgoing, faults, "404", by_another_call)
    driven.pass_by(TTL_S)
    read(outgoing, faults, "404", by_another_call)

    assert journal.served == [("GET /404", 1)] * 2


def test_a_renewal_that_fails_leads_to_a_full_read_and_rests(faults: FaultServer, driven: DrivenTime) -> None:
    def fail(part: Upstream, former: Answer) -> Answer:
        return part.send("GET", "500")

    journal = Counting()
    outgoing = caching(faults, journal)
    for _ in range(3):
        read(outgoing, faults, renew=fail)
        driven.pass_by(TTL_S)

    assert journal.served == [("GET /ok", 1), ("GET /500", 1), ("GET /ok", 1), ("GET /ok", 1)]


def test_what_is_read_without_a_renewal_is_read_in_full(faults: FaultServer, driven: DrivenTime) -> None:
    journal = Counting()
    outgoing = caching(faults, journal)
    read(outgoing, faults)
    driven.pass_by(TTL_S)
    read(outgoing, faults, renew=by_another_call)

    assert journal.served == [("GET /ok", 1)] * 2
