"""Program that points every outgoing path of a panel to every internal address, and reports the connections.

``network_namespace.py namespace FOLDER`` needs a network namespace of its own, in which all addresses are this
machine and listeners record all connections. ``network_namespace.py guard FOLDER`` works anywhere: it records and
refuses every attempt to connect.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from addresses import PORTS, PUBLIC, cases, names, redirects
from flask import Flask
from sqlalchemy import update
from support import ALICE, CASE, Upstreams, openproject_values, xwiki_values

from panel import create_app
from panel.accounts.principal import Action, Principal
from panel.config import load
from panel.connector import Auth, AuthKind, Caller, Connector, Deadline, Secret, SourceConfig
from panel.connector.limiter import NoLimits
from panel.core.errors import PanelError
from panel.links.visitor import Visitor
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import Source
from panel.web.mcp.actions import answer

PAGE, PACKAGE = "xwiki:Sandbox.TestPage1", "101"
LISTENED = sorted({*PORTS, 8443})
LOCAL = {"localhost": ["127.0.0.1", "::1"], "localhost.localdomain": ["127.0.0.1"], "ip6-localhost": ["::1"]}
NOTICED_S = 30
PROOF = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "8.8.8.8", "fd00::1", "::1", "2001:db8::1")
"""Addresses that the program connects to itself, to prove that its listeners record it."""

Seen = Counter[tuple[str, int]]


# --- what the outside world is ----------------------------------------------------------------------------------------


def make_all_addresses_ours() -> None:
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
    ):
        subprocess.run(command.split(), check=True)


class Listeners:
    """Accepts on every address and port, records the requested one, and redirects as the path says."""

    def __init__(self) -> None:
        self.seen: Seen = Counter()
        self._selector = selectors.DefaultSelector()
        for host, port in itertools.product(("0.0.0.0", "::"), LISTENED):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=200)
            self._selector.register(listener, selectors.EVENT_READ)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock, _ = key.fileobj.accept()  # type: ignore[union-attr]
                self.seen[sock.getsockname()[:2]] += 1
                threading.Thread(target=redirect, args=(sock,), daemon=True).start()


def redirect(sock: socket.socket) -> None:
    """Redirect a request for /r17/… to the 17th internal address."""
    with suppress(OSError, ValueError, IndexError), sock:
        sock.settimeout(5)
        path = sock.recv(65536).split(b" ")[1].decode()
        target = redirects()[int(path.split("/")[1][1:])]
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())


class AddressGuard:
    """Replaces ``socket.connect``: records every attempt and, without a namespace, refuses it.

    Without a namespace, a local server stands in for the public address.
    """

    def __init__(self, *, closed: bool) -> None:
        self.seen: Seen = Counter()
        self.ours: set[int] = set()
        """Ports of this process, which stay reachable."""
        self._connect, self._peer = socket.socket.connect, socket.socket.getpeername
        self._public = self._public_server() if closed else 0
        self._closed = closed
        guard = self

        def connect(sock: socket.socket, address: Any) -> None:
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                return guard._connect(sock, address)
            guard.seen[str(address[0]), int(address[1])] += 1
            return guard._redirected(sock, address)

        def getpeername(sock: socket.socket) -> Any:
            peer = guard._peer(sock)
            return (PUBLIC, peer[1]) if closed and peer[1] == guard._public else peer

        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.socket.getpeername = getpeername  # type: ignore[method-assign]

    def _redirected(self, sock: socket.socket, address: Any) -> None:
        if self._closed and address[0] == PUBLIC:
            return self._connect(sock, ("127.0.0.1", self._public))
        if self._closed and not (address[0] == "127.0.0.1" and address[1] in self.ours):
            raise ConnectionRefusedError
        return self._connect(sock, address)

    def _public_server(self) -> int:
        server = socket.create_server(("127.0.0.1", 0), backlog=200)

        def serve() -> None:
            while True:
                threading.Thread(target=redirect, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])


def name_service() -> None:
    """Resolve the names of ``names()`` to their addresses in turn, and numeric spellings as the system does."""
    turns = {name: itertools.cycle(answers) for name, answers in names().items()}
    known = socket.getaddrinfo

    def lookup(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        plain = str(host).lower().rstrip(".")
        found = LOCAL.get(plain) or (next(turns[plain]) if plain in turns else None)
        if found is None:
            return known(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        return [(None, None, None, "", (address, port)) for address in found]

    socket.getaddrinfo = lookup  # type: ignore[assignment]


# --- the panel in it --------------------------------------------------------------------------------------------------


class Lab:
    """A panel with two working sources and a link to each."""

    def __init__(self, folder: str) -> None:
        xwiki, openproject = XWikiStandIn(), OpenProjectStandIn()
        server = RunningServer(mounted(xwiki=xwiki, openproject=openproject))
        self.upstreams = Upstreams(server, xwiki, openproject)
        # Something is always opened: opening one address must not open the others.
        opened = f"{server.host_port},10.99.0.0/16,192.168.77.0/24"
        settings = {"PANEL_INSTANCE_DIR": folder, "PANEL_CACHE_TTL_S": "0", "PANEL_DEADLINE_S": "3"}
        self.app: Flask = create_app(load({**settings, "PANEL_ALLOWED_PRIVATE_HOSTS": opened}))
        self.panel: Panel = self.app.extensions["leafpanel"]
        self.connector: Connector = self.panel.links._connector
        # An open breaker would prevent calls.
        self.connector.limiter = NoLimits()
        self.visitor = Visitor(Principal("alice", "local", frozenset(Action)), Caller("test", "alice"))

    def connect(self) -> None:
        alembic.upgrade()
        self.panel.sources.create(xwiki_values(self.upstreams, auth={"type": "none"}), by=ALICE)
        self.panel.sources.create(openproject_values(self.upstreams), by=ALICE)
        for integration, reference in (("xwiki", PAGE), ("openproject", PACKAGE)):
            self.panel.links.link(self.visitor, integration, CASE, reference)

    def lead_to(self, url: str) -> None:
        """Store an address in both sources without the checks that saving makes."""
        changed = {"location": url, "auth_kind": "none", "auth_fields": {}, "revision": Source.revision + 1}
        db.session.execute(update(Source).values(**changed))
        db.session.commit()
        db.session.expire_all()

    def paths(self, url: str, leaf: str) -> dict[str, Callable[[], object]]:
        """Every way in which the panel can be made to call an address."""
        sources, links, who = self.panel.sources, self.panel.links, self.visitor
        reference = PAGE if leaf == "xwiki" else PACKAGE
        basic = {"type": "basic", "username": "alice", "password": "canary"}
        oauth = {"type": "oauth2", "grantType": "client_credentials", "clientId": "c", "clientSecret": "canary"}
        named = {"slug": "other", "name": "Other", "location": url}
        new = {"space": "S", "title": "T", "projectId": "1", "subject": "T"}
        config = SourceConfig("o", "o", "O", url.rstrip("/"), Auth(AuthKind.OAUTH2, secret=Secret("canary")))

        def mcp(action: str, **given: Any) -> object:
            about = {"register": CASE.register, "schema": CASE.schema, "objectId": CASE.object_id}
            body, failed = answer(who, self.panel.config.mcp_tool_name, {
                "action": action, "integrationId": leaf, **about, **given,
            })  # fmt: skip
            return None if failed and body["code"] != 500 else f"MCP {action}: {body}"

        return {
            "save": lambda: sources.create({**named, "auth": basic}, by=ALICE) and None,
            "save with OAuth": lambda: sources.create({**named, "auth": {**oauth, "tokenUrl": url}}, by=ALICE) and None,
            "test": lambda: self.panel.connection_tests.run(leaf, caller=who.caller).ok,
            "test of typed": lambda: self.panel.connection_tests.run(leaf, {"location": url, "auth": basic}, caller=who.caller).ok,
            "test with OAuth": lambda: self.panel.connection_tests.run(leaf, {"auth": {**oauth, "tokenUrl": url}}, caller=who.caller).ok,
            "rung address": lambda: self.connector.probe_address(config, deadline_s=3) and None,
            "rung tls": lambda: self.connector.probe_tls(config, deadline_s=3) and None,
            "rung http": lambda: self.connector.probe_http(config, deadline_s=3) and None,
            "list": lambda: links.listing(who, leaf, CASE).problem is None,
            "search": lambda: links.available(who, leaf, "test"),
            "look up": lambda: links.available(who, leaf, f"{url}wiki/S/P"),
            "preview": lambda: links.item(who, leaf, CASE, reference),
            "link": lambda: links.link(who, leaf, CASE, "xwiki:S.New" if leaf == "xwiki" else "102"),
            "create": lambda: links.create(who, leaf, CASE, new),
            "update": lambda: links.update(who, "openproject", CASE, PACKAGE, {"subject": "T"}),
            "choices": lambda: links.choices(who, "openproject", "projectId", {}),
            "health": lambda: links.health(who, leaf).status == "ok",
            "MCP list": lambda: mcp("list"),
            "MCP get": lambda: mcp("get", entityId=reference),
            "MCP link": lambda: mcp("link", payload={"reference": reference + "2"}),
            "OAuth token": lambda: self.connector.post_form(url, "grant_type=x", config, who.caller, Deadline(3)),
        }  # fmt: skip

    def outcomes(self, url: str, leaf: str) -> dict[str, str]:
        """The outcome of each path: empty, or how the address was not refused."""
        self.lead_to(url)
        return {path: self._tried(work) for path, work in self.paths(url, leaf).items()}

    def _tried(self, work: Callable[[], object]) -> str:
        try:
            result = work()
        except PanelError:
            return ""
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        finally:
            db.session.rollback()
        return f"got through: {result!r}" if result else ""


def proven(listeners: Listeners | None, guard: AddressGuard) -> list[str]:
    """The addresses of our own attempts that were recorded."""
    for host in PROOF:
        with suppress(OSError):
            socket.create_connection((host, 80), timeout=2).close()
    # The threads of the listeners count a connection a moment after it was made.
    seen, end = (listeners or guard).seen, time.monotonic() + NOTICED_S
    while not all(seen[host, 80] for host in PROOF) and time.monotonic() < end:
        time.sleep(0.02)
    noticed = [host for host in PROOF if seen[host, 80]]
    for witness in (listeners, guard):
        if witness is not None:
            witness.seen.clear()
    return noticed


def inside(seen: Seen) -> dict[str, int]:
    return {f"{host} port {port}": count for (host, port), count in seen.items() if host != PUBLIC}


def main(way: str, folder: str) -> None:
    if way == "namespace":
        make_all_addresses_ours()
    listeners = Listeners() if way == "namespace" else None
    guard = AddressGuard(closed=listeners is None)
    lab, started, faults, paths = Lab(folder), time.monotonic(), [], 0
    guard.ours = {lab.upstreams.server.port}
    noticed = proven(listeners, guard)
    with lab.app.test_request_context():
        lab.connect()
        name_service()
        guard.seen.clear()
        answered = len(lab.upstreams.xwiki.requests) + len(lab.upstreams.openproject.requests)
        for number, url in enumerate(cases()):
            found = lab.outcomes(url, ("xwiki", "openproject")[number % 2])
            paths = len(found)
            faults += [f"{url!r} by {path}: {what}" for path, what in found.items() if what]
        answered -= len(lab.upstreams.xwiki.requests) + len(lab.upstreams.openproject.requests)
    public = sum(count for (host, _), count in (listeners or guard).seen.items() if host == PUBLIC)
    report = {
        "cases": len(cases()), "paths": paths, "proof": len(PROOF), "noticed": len(noticed), "public": public,
        "listened": inside(listeners.seen) if listeners else {}, "attempted": inside(guard.seen), "faults": faults,
        "strays": -answered, "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
