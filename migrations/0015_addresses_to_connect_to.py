"""where the connections of a source go

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-30 19:50:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0015'
down_revision: Union[str, Sequence[str], None] = '0014'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema. Existing sources connect to their location."""
    op.add_column('source', sa.Column('connect_to', sa.String(length=300), server_default='', nullable=False))
    with op.batch_alter_table('source') as table:
        table.alter_column('connect_to', server_default=None)


def downgrade() -> None:
    """Downgrade schema. Sources connect to their location again."""
    op.drop_column('source', 'connect_to')
