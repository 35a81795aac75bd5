"""Every route that the application has, with an address that leads to something: a route added later is among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import Table, select

from panel.core.domain import ObjectRef
from panel.storage.engine import Model, db

OWN = ObjectRef("demo", "case", "1")
PAGE = "xwiki:Sandbox.WebHome"
WORK_PACKAGE = "101"
READING = frozenset({"GET", "HEAD", "OPTIONS"})

FIXED = {
    "register": "demo", "schema": "case", "object_id": "1", "integration": "xwiki", "slug": "xwiki",
    "reference": PAGE, "entity_id": PAGE, "name": "xwiki-openconnector-source",
}  # fmt: skip
FILES = {"static": "leafpanel.css"}

BOOKKEEPING = frozenset({"call", "instance", "revision", "source_check", "source_outcome"})
"""What grows by being read."""
STAMPS = frozenset({"seen_at", "last_seen_at", "last_used_at"})


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    endpoint: str
    path: str

    @property
    def face(self) -> str:
        return self.endpoint.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes(app: Flask, **values: Any) -> list[Route]:
    """Each method of each rule. An argument that nobody has named is 1, or x where it is a word."""
    return sorted(_routes(app, values), key=str)


def _routes(app: Flask, values: Mapping[str, Any]) -> Iterator[Route]:
    known = {**FIXED, **values}
    with app.test_request_context():
        urls = app.create_url_adapter(None) or app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            given = {name: known.get(name, 1 if f"<int:{name}>" in rule.rule else "x") for name in rule.arguments}
            given |= {"filename": FILES[rule.endpoint]} if rule.endpoint in FILES else {}
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Route(method, rule.endpoint, urls.build(rule.endpoint, given, method=method))


def ids(app: Flask) -> dict[str, Any]:
    """What stands in an address for the first row of its table: ``app_id``, ``token_id``, ``user_id`` …"""
    names = {"app_id": "embed_app", "token_id": "api_token", "user_id": "user", "person_id": "user"}
    with app.app_context():
        found = {name: db.session.execute(select(_table(table))).first() for name, table in names.items()}
    return {name: row.id for name, row in found.items() if row is not None}


def dump(app: Flask) -> str:
    """Every row of every table, but for what grows by being read."""
    with app.app_context(), db.engine.connect() as connection:
        tables = {table: connection.exec_driver_sql(query).fetchall() for table, query in _DUMPED.items()}
    return "\n".join(f"{table} {row}" for table, rows in tables.items() for row in rows)


def _query_of(table: Table) -> str:
    columns, key = ([f'"{column.name}"' for column in some] for some in (table.columns, table.primary_key.columns))
    shown = [name for name in columns if name.strip('"') not in STAMPS]
    return f'SELECT {", ".join(shown)} FROM "{table.name}" ORDER BY {", ".join(key)}'


_DUMPED = {table.name: _query_of(table) for table in Model.metadata.sorted_tables if table.name not in BOOKKEEPING}
"""The query for each table; as text, since it runs before and after each request of some tests."""


def _table(name: str) -> Any:
    return Model.metadata.tables[name]
