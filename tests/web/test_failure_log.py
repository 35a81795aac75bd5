"""A storage failure is one line in the log; the first of its kind also has a traceback."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from support import CASE_PATH

from panel.links.service import Links


def failure(name: str) -> OperationalError:
    cause = sqlite3.OperationalError("a title of somebody")
    cause.sqlite_errorname = name
    return OperationalError("SELECT 1", {}, cause)


def test_a_storage_failure_is_one_line_and_its_kind_has_one_traceback(
    connected: Flask,
    bearer: Callable[[str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, headers = connected.test_client(), bearer("write")
    caplog.set_level(logging.ERROR)
    for name in ("SQLITE_FULL", "SQLITE_FULL", "SQLITE_BUSY", "SQLITE_FULL"):

        def fail(*_: object, name: str = name, **__: object) -> None:
            raise failure(name)

        monkeypatch.setattr(Links, "listing", fail)
        assert client.get(f"{CASE_PATH}/xwiki", headers=headers).status_code == 503

    lines = [record.getMessage().partition(" ")[2] for record in caplog.records]
    full, busy = "storage: OperationalError SQLITE_FULL", "storage: OperationalError SQLITE_BUSY"
    assert lines == [full, full, busy, full]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, False]
