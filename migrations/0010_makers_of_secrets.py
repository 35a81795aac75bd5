"""who created an embedding application and its secrets

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-30 18:10:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0010'
down_revision: Union[str, Sequence[str], None] = '0009'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    for table in ('embed_app', 'embed_key'):
        op.add_column(table, sa.Column('created_by', sa.String(length=200), server_default='', nullable=False))


def downgrade() -> None:
    """Downgrade schema."""
    for table in ('embed_app', 'embed_key'):
        op.drop_column(table, 'created_by')
