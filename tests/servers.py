"""Real PostgreSQL and Redis servers as children of the tests, on folders and ports of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from redis import Redis, RedisError

START_S = 30
ROOM = 4 * 2**30


def quick_folder() -> str:
    """A folder in memory if there is enough of it, else the usual folder for temporary files.

    A thousand databases that are synchronised to disk would slow down the machine.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return str(memory)
    return tempfile.gettempdir()


def needed(name: str, *places: Path) -> str:
    """The path of a server's program; without it, the tests that need it fail."""
    found = shutil.which(name) or next((str(path) for path in sorted(places, reverse=True) if path.exists()), None)
    if found is None:
        sentence = f"{name} is missing: run `sh tests/need-servers`, or set PANEL_TEST_WITHOUT_SERVERS=1."
        pytest.fail(sentence, pytrace=False)
    return found


def wait_for(works: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            works()
            return
        except (psycopg.Error, RedisError, OSError):
            assert process.poll() is None, f"{process.args} ended by itself"
            assert time.monotonic() < end, f"{process.args} did not start"
            time.sleep(0.02)


class Postgresql:
    """A cluster on a Unix socket. It refuses to run as root, so it then runs as Debian's user postgres."""

    def __init__(self) -> None:
        programs = Path("/usr/lib/postgresql")
        self._initdb = needed("initdb", *programs.glob("*/bin/initdb"))
        self._folder = tempfile.mkdtemp(prefix="leafpanel-postgresql-", dir=quick_folder())
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._made = 0
        initdb = [self._initdb, "-D", f"{self._folder}/data", "-U", "panel", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL)
        self.start()

    def start(self) -> None:
        program = Path(self._initdb).resolve().parent / "postgres"
        folders = ["-D", f"{self._folder}/data", "-k", self._folder]
        settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
        with Path(self._folder, "log").open("ab") as log:
            command = [str(program), *folders, *settings]
            self.process = subprocess.Popen(command, user=self._user, cwd=self._folder, stdout=log, stderr=log)
        wait_for(lambda: self.run("SELECT 1"), self.process)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and shuts down; SIGQUIT leaves everything as it is, as a crash would."""
        self.process.send_signal(how)
        self.process.wait(START_S)

    def freeze(self) -> None:
        """Stop all processes of the server. Their kernel goes on to accept connections and data."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, what: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in (self.process.pid, *map(int, children.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        known = psycopg.connect(host=self._folder, user="panel", dbname=database, autocommit=True)
        with known as connection:
            cursor = connection.execute(statement)
            return list(cursor) if cursor.description else []

    def database(self, template: str = "template1") -> str:
        """The URL of a new database, which is a copy of ``template``."""
        self._made += 1
        name = f"panel_{self._made}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql+psycopg://panel@/{name}?host={self._folder}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self._folder)


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self._program, self._folder = needed("redis-server"), folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        with self.client() as client:
            wait_for(client.ping, self.process)

    def client(self) -> Redis:
        return Redis(port=self.port, decode_responses=False)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(START_S)
