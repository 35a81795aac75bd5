"""Applications that tests share: the routes and templates of one are built once, its state anew for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import Any

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from panel import build_services, create_app
from panel.config import load
from panel.integrations.registry import Registry, load_registry
from panel.sandbox.standin import Wsgi
from panel.storage.engine import db
from panel.storage.migrations import alembic

REGISTRY = load_registry()
"""Leaves hold no state, so all applications of the tests have the same."""

ENDS_WITHIN_S = 30
OUTSIDE_OF_THE_FOLDER = frozenset({"PANEL_DATABASE_URL", "PANEL_REDIS_URL"})
"""Settings that put state outside of the instance folder. An application with one of them is not shared."""

Settings = dict[str, str]
Key = tuple[tuple[str, str], ...]


class Applications:
    """Builds the applications of one test process.

    A shared application reads its database through the link ``current``, which leads to the instance folder of the
    running test. Its services, with the limiter, the caches and the call log, are built anew for each test.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current = folder / "current"
        self._bytecode = FileSystemBytecodeCache(str(folder))
        self.database = self._migrated()
        """A migrated SQLite database, which is copied for each test."""
        self._shared: dict[Key, tuple[Flask, dict[str, Any]]] = {}
        self._lent: set[Key] = set()
        self._built: list[Flask] = []

    def _migrated(self) -> Path:
        app = create_app(load({"PANEL_INSTANCE_DIR": str(self._folder / "migrated")}))
        with app.app_context():
            alembic.upgrade()
            db.engine.dispose()
        return self._folder / "migrated" / "panel.sqlite3"

    def begin_test(self, instance: Path) -> None:
        """Use ``instance`` from now on. Every shared application may be lent again."""
        self._lent.clear()
        link = self._folder / "next"
        link.symlink_to(instance)
        os.replace(link, self._current)

    def end_test(self) -> None:
        """Write the call logs now. Their own thread would do it later, into a folder that is gone by then."""
        for app in self._built:
            app.extensions["leafpanel"].call_log.flush()
        self._built.clear()

    def build(self, instance: Path, registry: Registry, settings: Settings) -> Flask:
        """Lend a shared application, or build one if it cannot be shared or is lent already."""
        app = self._build(instance, registry, settings)
        self._built.append(app)
        return app

    def _build(self, instance: Path, registry: Registry, settings: Settings) -> Flask:
        key = tuple(sorted(settings.items()))
        if registry is not REGISTRY or OUTSIDE_OF_THE_FOLDER & settings.keys() or key in self._lent:
            return self.build_own(instance, registry, settings)
        self._lent.add(key)
        return self._lend(key, instance, settings)

    def build_own(self, instance: Path, registry: Registry, settings: Settings) -> Flask:
        """Build an application that a test may change, such as its routes."""
        self._furnish(instance)
        app = create_app(load({**settings, "PANEL_INSTANCE_DIR": str(instance)}), registry=registry)
        app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
        app.jinja_env.bytecode_cache = self._bytecode
        return app

    def _furnish(self, instance: Path) -> None:
        """Give the instance folder a migrated database, if it has none yet."""
        database = instance / "panel.sqlite3"
        if not database.exists():
            instance.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(self.database, database)

    def _lend(self, key: Key, instance: Path, settings: Settings) -> Flask:
        self._furnish(instance)
        if key not in self._shared:
            app = self.build_own(self._current, REGISTRY, settings)
            self._shared[key] = app, dict(app.config)
        app, configured = self._shared[key]
        config = load({**settings, "PANEL_INSTANCE_DIR": str(instance)})
        app.config.clear()
        app.config.update(configured, SECRET_KEY=config.secret_key)
        with app.app_context():
            db.engine.dispose()
        app.extensions["leafpanel"] = build_services(app, config, REGISTRY)
        # Which kinds of failures have been logged with a traceback.
        app.extensions.pop("leafpanel.storage_failures", None)
        return app


class Replaceable:
    """A WSGI application that serves another one, which is replaced for each test."""

    def __init__(self) -> None:
        self._served: Wsgi | None = None
        self._running = 0
        self._changed = Condition()

    def serve(self, app: Wsgi) -> None:
        self._served = app

    def stop(self) -> None:
        """Serve nothing any more, once the requests that are under way have ended."""
        with self._changed:
            self._served = None
            assert self._changed.wait_for(lambda: self._running == 0, ENDS_WITHIN_S), "a request did not end"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with self._changed:
            served = self._served
            self._running += 1
        try:
            assert served is not None, f"{environ['PATH_INFO']} is requested after the end of its test"
            return served(environ, start_response)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
