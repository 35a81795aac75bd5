"""Clients that leave their requests unfinished do not keep others out of `make serve`.

PANEL_TEST_SLOW_CLIENTS=2000 opens 2,000 connections of each kind.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from served import Response, Server, served

pytestmark = pytest.mark.alone

CLIENTS = int(os.environ.get("PANEL_TEST_SLOW_CLIENTS", "400"))
BEGINNINGS = {
    "idle": b"",
    "head": b"GET /admin/sign-in HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "form": b"POST /admin/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n",
    "json": b"POST /api/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{",
    "chunks": b"POST /api/mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n",
}
ROUNDS = 5
ANSWER_S = 2


@pytest.fixture(scope="module", autouse=True)
def enough_files() -> Iterator[None]:
    """Both ends inherit the limit of this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(before[1], max(before[0], len(BEGINNINGS) * CLIENTS + 512))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, enough_files: None) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("served")) as server:
        yield server


def opened(server: Server, beginning: bytes, stack: ExitStack) -> list[socket.socket]:
    clients = []
    for _ in range(CLIENTS):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        client.sendall(beginning)
        client.setblocking(False)
        clients.append(client)
    return clients


def answers_while_dripping(server: Server, clients: list[socket.socket]) -> list[Response]:
    answers = []
    for _ in range(ROUNDS):
        for client in clients:
            with suppress(OSError):  # disconnected because its time is over
                client.send(b"a")
        answers.append(server.get())
    return answers


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_slow_clients_keep_nobody_out(server: Server, kind: str) -> None:
    with ExitStack() as stack:
        clients = opened(server, BEGINNINGS[kind], stack)
        answers = answers_while_dripping(server, clients if kind != "idle" else [])

    assert [answer.status for answer in answers] == [200] * ROUNDS
    assert max(answer.took for answer in answers) < ANSWER_S


def test_slow_clients_of_all_kinds_at_once_keep_nobody_out(server: Server) -> None:
    with ExitStack() as stack:
        clients = {kind: opened(server, beginning, stack) for kind, beginning in BEGINNINGS.items()}
        answers = answers_while_dripping(server, [one for kind, of in clients.items() if kind != "idle" for one in of])

    assert [answer.status for answer in answers] == [200] * ROUNDS
    assert max(answer.took for answer in answers) < ANSWER_S
