"""embedding applications

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-24 02:12:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0003'
down_revision: Union[str, Sequence[str], None] = '0002'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    op.create_table('embed_app',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('origins', sa.JSON(), nullable=False),
    sa.Column('disabled', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_embed_app')),
    sa.UniqueConstraint('name', name=op.f('uq_embed_app_name'))
    )
    op.create_table('embed_key',
    sa.Column('kid', sa.String(length=32), nullable=False),
    sa.Column('app_id', sa.String(length=32), nullable=False),
    sa.Column('sealed', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['app_id'], ['embed_app.id'], name=op.f('fk_embed_key_app_id_embed_app'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('kid', name=op.f('pk_embed_key'))
    )
    op.create_index(op.f('ix_embed_key_app_id'), 'embed_key', ['app_id'], unique=False)


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_index(op.f('ix_embed_key_app_id'), table_name='embed_key')
    op.drop_table('embed_key')
    op.drop_table('embed_app')
