"""What migrations do to rows that are there."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from support import api_token

from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import CreateIntent


@pytest.fixture
def intents(app: Flask) -> Flask:
    """Two tokens of one name, one whose name is the id of another, and create intents as they were before 0007."""
    for name in ("ci", "ci", "1", "agent"):
        api_token(app, "write", name)
    with app.app_context():
        alembic.downgrade("0006")
        for principal in ("token:ci", "token:1", "token:agent", "token:gone", "session:alice"):
            db.session.add(CreateIntent(principal=principal, key_hash="k", request_hash="r"))
        db.session.commit()
    return app


def principals() -> list[str]:
    return list(db.session.scalars(select(CreateIntent.principal).order_by(CreateIntent.principal)))


def test_intents_of_tokens_are_kept_by_the_id_of_the_token(intents: Flask) -> None:
    with intents.app_context():
        alembic.upgrade()
        db.session.expire_all()

        assert principals() == ["session:alice", "token:3", "token:4"]


def test_intents_of_tokens_go_back_to_names(intents: Flask) -> None:
    with intents.app_context():
        alembic.upgrade()
    with intents.app_context():
        alembic.downgrade("0006")

        assert principals() == ["session:alice", "token:1", "token:agent"]
