"""limits of embedding applications

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-30 18:00:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0008'
down_revision: Union[str, Sequence[str], None] = '0007'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema. Existing applications stay without a limit."""
    op.add_column('embed_app', sa.Column('registers', sa.JSON(none_as_null=True), nullable=True))
    op.add_column('embed_app', sa.Column('integrations', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_column('embed_app', 'integrations')
    op.drop_column('embed_app', 'registers')
