"""the browser of a session

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-30 18:20:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0009'
down_revision: Union[str, Sequence[str], None] = '0008'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.add_column('user_session', sa.Column('browser', sa.String(length=60), server_default='', nullable=False))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column('user_session', 'browser')
