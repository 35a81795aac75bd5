"""``make run``, ``make serve``, ``leafpanel serve``: run migrations, then start, watch and stop child processes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from panel import create_app
from panel.children import Child, fork, start, stop
from panel.config import COMMAND, IS_INSTALLED, PROJECT_ROOT, SERVER_THREADS, Config, ConfigError, load
from panel.logs.audit import Actor
from panel.sandbox import note
from panel.services import Panel
from panel.storage.engine import STORAGE_FAILURES, db
from panel.web.storage_words import storage_words

READY_S = 30

_SHELL_COMMAND = COMMAND if IS_INSTALLED else f".venv/bin/{COMMAND}"
_TEMPLATES = PROJECT_ROOT / "docs" / "templates" if IS_INSTALLED else "docs/templates"


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> int:
    try:
        config = load()
        one_time = _prepare(config)
    except ConfigError as exc:
        return _fail(str(exc))
    except STORAGE_FAILURES as exc:
        return _fail(storage_words(exc))
    sandbox = "--sandbox" in arguments
    ports = [(config.host, config.port, "PANEL_PORT")]
    ports += [("127.0.0.1", config.sandbox_port, "PANEL_SANDBOX_PORT")] if sandbox else []
    for host, port, name in ports:
        if not _is_free(host, port):
            return _fail(f"Port {port} is in use; set {name} to another one.")
    server = fork()
    if server is None:
        return _serve(config, workers=1 if sandbox else 2)
    stopping, children = _Stop(), [server]
    try:
        if sandbox:
            note.write(config.sandbox_note, f"127.0.0.1:{config.sandbox_port}")
            children.append(start([sys.executable, "-m", "panel.sandbox", str(config.sandbox_port)]))
        if not _wait_until_ready(ports, children, stopping):
            return _fail("A process of the panel did not start; see above.") if not stopping.requested else 0
        print(_instructions(config, one_time, sandbox=sandbox), flush=True)
        while not stopping.requested and all(child.poll() is None for child in children):
            time.sleep(0.1)
        return 0 if stopping.requested else _fail("A process of the panel ended unexpectedly; see above.")
    finally:
        stop(children)
        if sandbox:
            note.remove(config.sandbox_note)


class _Stop:
    """Records whether a signal requested the end of the process."""

    def __init__(self) -> None:
        self.requested = False
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True


def _prepare(config: Config) -> tuple[str, str] | None:
    """Run the migrations, and return a name with a one-time password while no administrator has chosen one."""
    # Here, because the commands of an installed package import this module too.
    from panel.storage.migrations import upgrade

    app = create_app(config)
    # The steps are logged by ``db upgrade``; at start they would bury the addresses.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    with app.app_context():
        upgrade()
        services: Panel = app.extensions["leafpanel"]
        password = services.people.first_admin_password(by=Actor("console", "local:start", "console"))
        one_time = (services.people.first_admin_name(), password) if password is not None else None
        engine = db.engine
    # No connection to the database may be open on both sides of a fork.
    engine.dispose()
    return one_time


def _serve(config: Config, *, workers: int) -> int:
    """Be the server, in a fork of the process that has imported and migrated: its workers share what it imported."""
    from gunicorn.app.wsgiapp import run

    import panel.accounts.embed_signatures  # noqa: F401 (what the first requests need)

    host = f"[{config.host}]" if ":" in config.host else config.host
    sys.argv = [
        "gunicorn", "panel.wsgi:app", "--bind", f"{host}:{config.port}",
        "--worker-class", "panel.server.BufferingWorker", "--workers", os.environ.get("WEB_CONCURRENCY", str(workers)),
        "--threads", str(SERVER_THREADS), "--graceful-timeout", "8", "--no-control-socket", "--log-level", "warning",
    ]  # fmt: skip
    run()
    return 0


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _wait_until_ready(ports: Sequence[tuple[str, int, str]], children: Sequence[Child], stopping: _Stop) -> bool:
    end = time.monotonic() + READY_S
    for host, port, _ in ports:
        while not _accepts_connections("127.0.0.1" if host in ("0.0.0.0", "") else host, port):  # noqa: S104 (a comparison)
            if time.monotonic() > end or stopping.requested or any(child.poll() is not None for child in children):
                return False
            time.sleep(0.05)
    return True


def _accepts_connections(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _instructions(config: Config, one_time: tuple[str, str] | None, *, sandbox: bool) -> str:
    base = f"http://127.0.0.1:{config.port}" if config.host == "127.0.0.1" else config.public_url
    lines = ["", "Leafpanel is ready. Ctrl-C ends it.", ""]
    lines += [f"  Warning       {config.proxy_problem}", ""] if config.proxy_problem else []
    lines += [f"  Admin pages   {base}/admin/", f"  An object     {base}/objects/demo/case/1"]
    if one_time is not None:
        name, password = one_time
        lines += [f"  Sign in as    {name}, with the one-time password {password}"]
    else:
        lines += [
            "  Sign in       with your account",
            f"  A new one     {_SHELL_COMMAND} user create NAME --admin --password-stdin",
        ]
    lines += [f"  API token     {_SHELL_COMMAND} token create NAME --scope write", ""]
    if sandbox:
        lines += _sandbox_lines(config)
    return "\n".join(lines)


def _sandbox_lines(config: Config) -> list[str]:
    base = f"http://127.0.0.1:{config.sandbox_port}"
    command = f"{_SHELL_COMMAND} source import {_TEMPLATES}"
    return [
        f"  Sandbox wiki      {base}/xwiki/",
        f"  Sandbox tracker   {base}/openproject/",
        "",
        "Connect the sandbox (in another terminal, from this folder):",
        "",
        f"{command}/xwiki-openconnector-source.yaml --set location={base}/xwiki"
        " --set auth.username=leafpanel --set auth.password=leafpanel-demo",
        f"{command}/openproject-openconnector-source.yaml --set location={base}/openproject"
        " --set auth.password=opapi-leafpanel-demo",
        "",
    ]


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
