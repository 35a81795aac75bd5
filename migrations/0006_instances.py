"""which instance the links were made in

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-24 04:10:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0006'
down_revision: Union[str, Sequence[str], None] = '0005'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_table('instance',
    sa.Column('integration', sa.String(length=63), nullable=False),
    sa.Column('marks', sa.JSON(), nullable=False),
    sa.Column('known_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('other', sa.JSON(none_as_null=True), nullable=True),
    sa.PrimaryKeyConstraint('integration', name=op.f('pk_instance'))
    )


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_table('instance')
