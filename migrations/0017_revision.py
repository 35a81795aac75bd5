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

# What an answer depends on, with the columns whose change counts; "" means every column.
# The trail has a line for every other change, such as one that was made in an upstream.
WATCHED = {
    "api_token": "name, scope, token_hash, registers, integrations, expires_at",
    "audit_entry": "",
    "embed_app": "",
    "embed_key": "",
    "instance": "",
    "link": "",
    "source": "",
    "switch": "",
}
EVENTS = ("INSERT", "UPDATE", "DELETE")


def _events(table: str) -> list[str]:
    columns = WATCHED[table]
    return [f"UPDATE OF {columns}" if event == "UPDATE" and columns else event for event in EVENTS]


def _sqlite() -> list[str]:
    return [
        f"""CREATE TRIGGER revision_{table}_{event.partition(" ")[0].lower()} AFTER {event} ON {table}
        BEGIN UPDATE revision SET value = value + 1; END"""
        for table in WATCHED
        for event in _events(table)
    ]


def _postgresql() -> list[str]:
    """Deferred to the commit: the row is locked last and briefly, so that transactions cannot lock each other out."""
    function = """CREATE FUNCTION revision_advance() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN UPDATE revision SET value = value + 1; RETURN NULL; END $$"""
    return [function] + [
        f"""CREATE CONSTRAINT TRIGGER revision_{table} AFTER {" OR ".join(_events(table))} ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION revision_advance()"""
        for table in WATCHED
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
        for table in WATCHED:
            for event in EVENTS:
                op.execute(f"DROP TRIGGER revision_{table}_{event.lower()}")
    else:
        for table in WATCHED:
            op.execute(f"DROP TRIGGER revision_{table} ON {table}")
        op.execute("DROP FUNCTION revision_advance()")
    op.drop_table("revision")
