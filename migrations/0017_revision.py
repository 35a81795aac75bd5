"""a number that changes with everything that an answer depends on

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-30 20:00:00.000000

"""

from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = "0017"
down_revision: Union[str, Sequence[str], None] = "0016"
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

EVERY = ("INSERT", "UPDATE", "DELETE")
TOKEN = "UPDATE OF name, scope, token_hash, registers, integrations, expires_at"
# What an answer depends on. A line of the trail stands for every other change, such as one in an upstream; pruning
# the trail changes no answer.
WATCHED = {
    "api_token": ("INSERT", TOKEN, "DELETE"),
    "audit_entry": ("INSERT",),
    "embed_app": EVERY,
    "embed_key": EVERY,
    "instance": EVERY,
    "link": EVERY,
    "source": EVERY,
    "switch": EVERY,
}


def _trigger(table: str, event: str) -> str:
    return f"revision_{table}_{event.partition(' ')[0].lower()}"


def _sqlite() -> list[str]:
    return [
        f"""CREATE TRIGGER {_trigger(table, event)} AFTER {event} ON {table}
        BEGIN UPDATE revision SET value = value + 1; END"""
        for table, events in WATCHED.items()
        for event in events
    ]


def _postgresql() -> list[str]:
    """Deferred to the commit: the row is locked last and briefly, so that transactions cannot lock each other out."""
    function = """CREATE FUNCTION revision_advance() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN UPDATE revision SET value = value + 1; RETURN NULL; END $$"""
    return [function] + [
        f"""CREATE CONSTRAINT TRIGGER revision_{table} AFTER {" OR ".join(events)} ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION revision_advance()"""
        for table, events in WATCHED.items()
    ]


def upgrade() -> None:
    """Upgrade schema."""
    table = op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
    )
    op.bulk_insert(table, [{"id": 1, "value": 1}])
    for statement in _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgresql():
        op.execute(statement)


def downgrade() -> None:
    """Downgrade schema."""
    if op.get_bind().dialect.name == "sqlite":
        for table, events in WATCHED.items():
            for event in events:
                op.execute(f"DROP TRIGGER {_trigger(table, event)}")
    else:
        for table in WATCHED:
            op.execute(f"DROP TRIGGER revision_{table} ON {table}")
        op.execute("DROP FUNCTION revision_advance()")
    op.drop_table("revision")
