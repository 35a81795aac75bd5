"""sessions and limits of tokens

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-24 03:15:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0004'
down_revision: Union[str, Sequence[str], None] = '0003'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema. Sessions of before end: people sign in once more."""
    op.create_table('user_session',
    sa.Column('id_hash', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_user_session_user_id_user'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id_hash', name=op.f('pk_user_session'))
    )
    op.create_index(op.f('ix_user_session_user_id'), 'user_session', ['user_id'], unique=False)
    op.create_index(op.f('ix_user_session_began_at'), 'user_session', ['began_at'], unique=False)
    op.add_column('user', sa.Column('one_time_until', sa.DateTime(timezone=True), nullable=True))
    op.drop_column('user', 'epoch')
    op.add_column('api_token', sa.Column('registers', sa.JSON(), nullable=True))
    op.add_column('api_token', sa.Column('integrations', sa.JSON(), nullable=True))
    op.add_column('api_token', sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('api_token', sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Downgrade schema."""
    for name in ('last_used_at', 'expires_at', 'integrations', 'registers'):
        op.drop_column('api_token', name)
    op.add_column('user', sa.Column('epoch', sa.Integer(), server_default='1', nullable=False))
    op.drop_column('user', 'one_time_until')
    op.drop_index(op.f('ix_user_session_began_at'), table_name='user_session')
    op.drop_index(op.f('ix_user_session_user_id'), table_name='user_session')
    op.drop_table('user_session')
