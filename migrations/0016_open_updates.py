"""changes that the audit trail lacks

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-30 20:00:00.000000

"""

from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = "0016"
down_revision: Union[str, Sequence[str], None] = "0015"
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_table(
        "open_update",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("integration", sa.String(length=63), nullable=False),
        sa.Column("register", sa.String(length=255), nullable=False),
        sa.Column("schema", sa.String(length=255), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("reference", sa.String(length=1000), nullable=False),
        sa.Column("fields", sa.String(length=500), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("face", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=20), nullable=False),
        sa.Column("is_made", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_update")),
    )
    with op.batch_alter_table("open_update", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_open_update_started_at"), ["started_at"], unique=False)


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_table("open_update")
