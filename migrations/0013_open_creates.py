"""creates whose end is not known

Revision ID: 0013
Revises: 0012
Create Date: 2026-12-02 09:00:00.000000

"""

from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = "0013"
down_revision: Union[str, Sequence[str], None] = "0012"
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

intent = sa.table(
    "create_intent",
    sa.column("id", sa.Integer),
    sa.column("principal", sa.String),
    sa.column("reference", sa.String),
    sa.column("started_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    """Upgrade schema. Creates with a key that never ended are taken over; their object is not known."""
    created = op.create_table(
        "open_create",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("integration", sa.String(length=63), nullable=False),
        sa.Column("register", sa.String(length=255), nullable=False),
        sa.Column("schema", sa.String(length=255), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("face", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=1000), nullable=False),
        sa.Column("is_unanswered", sa.Boolean(), nullable=False),
        sa.Column("intent_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["intent_id"],
            ["create_intent.id"],
            name=op.f("fk_open_create_intent_id_create_intent"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_create")),
    )
    with op.batch_alter_table("open_create", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_open_create_intent_id"), ["intent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_open_create_started_at"), ["started_at"], unique=False)
    never_ended = op.get_bind().execute(sa.select(intent).where(intent.c.reference.is_(None))).all()
    unknown = {
        name: "" for name in ("integration", "register", "schema", "object_id", "face", "request_id", "reference")
    }
    if never_ended:
        op.bulk_insert(
            created,
            [
                {
                    **unknown,
                    "started_at": row.started_at,
                    "who": row.principal,
                    "is_unanswered": True,
                    "intent_id": row.id,
                }
                for row in never_ended
            ],
        )


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_table("open_create")
