"""notes of links, and an index that finds the objects of an item

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-30 23:50:00.000000

"""

from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = "0018"
down_revision: Union[str, Sequence[str], None] = "0017"
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema. SQLite adds the column without remaking the table, so its triggers stay."""
    op.add_column("link", sa.Column("note", sa.String(length=200), server_default="", nullable=False))
    op.create_index("ix_link_item", "link", ["integration", "reference"])
    op.drop_index("ix_link_integration", "link")


def downgrade() -> None:
    """Downgrade schema."""
    op.create_index("ix_link_integration", "link", ["integration"])
    op.drop_index("ix_link_item", "link")
    op.drop_column("link", "note")
