"""What one list costs on its way: statements to the databases, reads of the source, and files that it goes through."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, event, update
from support import CASE, CASE_PATH, CONSOLE, Upstreams, api_token

import panel
from panel.links.visitor import Visitor
from panel.storage.engine import db
from panel.storage.models import Source

PACKAGE = Path(panel.__file__).parent
VIEW = ("web/api/views.py", "collection")
SOCKET = ("connector/sockets.py", "sendall")
OTHER_THREADS = ("Thread-", "call log")
"""The threads of the stand-ins, and the one that writes the call log."""

PAGES = [f"Path.P{number}" for number in range(5)]
NUMBERS = [str(number) for number in range(501, 506)]


@contextmanager
def statements() -> Iterator[dict[str, list[str]]]:
    """The SQL statements on every engine, BEGIN included where the panel sends it itself, by database.

    The call log is left out: it is written later, in batches, by a thread that no request waits for.
    """
    seen: dict[str, list[str]] = {"panel": [], "traffic": []}

    def note(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name != "call log":
            seen["traffic" if "traffic" in str(connection.engine.url) else "panel"].append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


class Tracer:
    """Records which files of the panel are entered while the JSON view of a list runs.

    Threads that the view starts count; generated code (the methods of dataclasses) has no file and does not.
    """

    def __init__(self) -> None:
        self.down: set[str] = set()
        """Files entered before the first byte of a request reaches the socket."""
        self.calls: Counter[tuple[str, str]] = Counter()
        self._is_inside = self._is_sent = False

    def __enter__(self) -> Tracer:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, frame: FrameType, what: str, _: Any) -> None:
        code = frame.f_code
        if what not in ("call", "return") or not code.co_filename.startswith(f"{PACKAGE}/"):
            return
        file = str(Path(code.co_filename).relative_to(PACKAGE))
        if (file, code.co_name) == VIEW:
            self._is_inside = what == "call"
        if what == "return" or not self._is_inside or threading.current_thread().name.startswith(OTHER_THREADS):
            return
        self.calls[file, code.co_name] += 1
        if not self._is_sent:
            self.down.add(file)
        self._is_sent = self._is_sent or (file, code.co_name) == SOCKET


@pytest.fixture(params=["openproject", "xwiki"])
def integration(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def poll(integration: str, connected: Flask, upstreams: Upstreams, visitor: Visitor) -> Callable[[], None]:
    """Polls a list of five links with a token that was used a moment ago. Nothing is done for the first time."""
    for page, number in zip(PAGES, NUMBERS, strict=True):
        upstreams.xwiki.add_page(page)
        upstreams.openproject.world.add_work_package(number, 1, id=int(number), author_id=5)
    with connected.app_context():
        for reference in {"openproject": NUMBERS, "xwiki": PAGES}[integration]:
            connected.extensions["leafpanel"].links.link(visitor, integration, CASE, reference)
    client, token = connected.test_client(), api_token(connected, "read")

    def ask() -> None:
        response = client.get(f"{CASE_PATH}/{integration}", headers={"Authorization": f"Bearer {token}"})
        assert [item["state"] for item in response.get_json()["items"]] == ["live"] * 5

    ask()
    return ask


def test_a_list_takes_one_statement_of_the_database_and_three_of_the_limit_store(poll: Callable[[], None]) -> None:
    """Page of pointers with its count; epoch, slot taken, slot freed with the outcome."""
    with statements() as seen:
        poll()

    assert {store: len(sent) for store, sent in seen.items()} == {"panel": 1, "traffic": 3}, seen


def test_a_list_after_a_change_takes_three_statements_of_the_database(
    connected: Flask, poll: Callable[[], None]
) -> None:
    """Token, source with the switch, page of pointers with its count."""
    with connected.app_context():
        connected.extensions["leafpanel"].switches.set_connector(on=True, by=CONSOLE)

    with statements() as seen:
        poll()

    assert len(seen["panel"]) == 3, seen


def test_a_list_that_is_kept_takes_no_statement(connected: Flask, poll: Callable[[], None]) -> None:
    connected.extensions["leafpanel"].links._connector.cache_ttl_s = 60
    poll()

    with statements() as seen:
        poll()

    assert seen == {"panel": [], "traffic": []}


def test_a_list_neither_reads_its_source_nor_parses_the_address_again(poll: Callable[[], None]) -> None:
    with statements() as seen, Tracer() as tracer:
        poll()

    assert sum("FROM source" in statement for statement in seen["panel"]) == 0
    assert tracer.calls["connector/endpoint.py", "parse_endpoint"] == 0, "it was parsed when the row was first read"
    assert tracer.calls["sources/resolver.py", "_root"] == 0


def test_an_unchanged_source_is_not_decrypted_again(poll: Callable[[], None]) -> None:
    with Tracer() as tracer:
        poll()

    assert not [call for call in tracer.calls if call[0] in ("credentials/vault.py", "sources/options.py")]


def test_a_row_that_is_edited_below_the_panel_is_resolved_again(connected: Flask, poll: Callable[[], None]) -> None:
    """The revision stays, and so does everything else that the panel itself changes with a save."""
    with connected.app_context():
        db.session.execute(update(Source).values(secret=None))
        db.session.commit()

    with pytest.raises(KeyError, match="items"), Tracer() as tracer:
        poll()

    assert tracer.calls["sources/resolver.py", "_opened"] == 1


MOST_FILES_DOWN = {"openproject": 41, "xwiki": 46}


def test_a_list_goes_down_through_few_files(integration: str, poll: Callable[[], None]) -> None:
    with Tracer() as tracer:
        poll()

    assert SOCKET[0] in tracer.down
    assert len(tracer.down) <= MOST_FILES_DOWN[integration], "\n".join(sorted(tracer.down))
