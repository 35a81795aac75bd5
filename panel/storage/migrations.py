"""The migrations of the database. Imported where they are needed only: Alembic is slow to import."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from flask import current_app
from flask_alembic import Alembic
from flask_alembic.extension import _Cache
from sqlalchemy import Connection

from panel.config import new_marker
from panel.storage.engine import Model, db
from panel.storage.start_check import require_usable

_UPGRADE_LOCK = 0x1EAF

# Alembic logs every plugin and table that it looks at. Only the steps of an upgrade are useful in the log.
for _name in ("alembic.runtime.plugins", "alembic.autogenerate"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Migrations(Alembic):
    """Migrates only a database that is whole and not of a newer version."""

    def revisions(self) -> set[str]:
        """The migrations of this version."""
        return {script.revision for script in self.script_directory.walk_revisions()}

    def upgrade(self, target: Any = "heads") -> None:
        """Raises DatabaseUnusable."""
        instance: Path = current_app.config["LEAFPANEL_INSTANCE_DIR"]
        require_usable(db.engine, instance, self.revisions())
        _remove_time_limits(self.migration_context.connection)
        super().upgrade(target)
        new_marker(instance).unlink(missing_ok=True)

    def _get_cache(self) -> _Cache:
        """Registers the application at first use. With ``init_app``, each start would import Alembic."""
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if app not in self._cache:
            self._cache[app] = cache = _Cache()
            app.teardown_appcontext_funcs.append(cache.clear)
        return self._cache[app]


alembic = Migrations(run_mkdir=False, metadatas=Model.metadata)


def upgrade() -> None:
    """Run the migrations. On PostgreSQL, an advisory lock serialises processes that start together."""
    if db.engine.dialect.name != "postgresql":
        alembic.upgrade()
        return
    with db.engine.begin() as lock:
        # The migration of another process may take longer than the usual timeouts allow to wait.
        _remove_time_limits(lock)
        lock.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        alembic.upgrade()


def _remove_time_limits(connection: Connection | None) -> None:
    if connection is not None and connection.dialect.name == "postgresql":
        from panel.storage.postgresql import wait_without_limit

        wait_without_limit(connection)
