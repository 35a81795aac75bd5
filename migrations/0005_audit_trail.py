"""the audit trail

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-24 04:20:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0005'
down_revision: Union[str, Sequence[str], None] = '0004'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

REFUSAL = 'the audit trail is append-only'

# A replacing INSERT deletes without firing a trigger for deletion, hence the third.
SQLITE = (
    f"""CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry
    WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
)

# ALWAYS: a session that replays changes as a replica does is refused too.
POSTGRESQL = (
    f"""CREATE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    """CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse()""",
    'ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_append_only',
)


def upgrade() -> None:
    """Upgrade schema."""
    op.create_table('audit_entry',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('deed', sa.String(length=40), nullable=False),
    sa.Column('who', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=60), nullable=False),
    sa.Column('face', sa.String(length=20), nullable=False),
    sa.Column('request_id', sa.String(length=20), nullable=False),
    sa.Column('subject', sa.String(length=1000), nullable=False),
    sa.Column('register', sa.String(length=255), nullable=False),
    sa.Column('schema', sa.String(length=255), nullable=False),
    sa.Column('object_id', sa.String(length=255), nullable=False),
    sa.Column('integration', sa.String(length=63), nullable=False),
    sa.Column('detail', sa.String(length=500), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entry'))
    )
    op.create_index(op.f('ix_audit_entry_at'), 'audit_entry', ['at'], unique=False)
    op.create_index(op.f('ix_audit_entry_deed'), 'audit_entry', ['deed'], unique=False)
    op.create_index(op.f('ix_audit_entry_request_id'), 'audit_entry', ['request_id'], unique=False)
    op.create_index('ix_audit_entry_object', 'audit_entry', ['register', 'schema', 'object_id'], unique=False)
    sqlite = op.get_bind().dialect.name == 'sqlite'
    for statement in SQLITE if sqlite else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Downgrade schema."""
    op.drop_index('ix_audit_entry_object', table_name='audit_entry')
    op.drop_index(op.f('ix_audit_entry_request_id'), table_name='audit_entry')
    op.drop_index(op.f('ix_audit_entry_deed'), table_name='audit_entry')
    op.drop_index(op.f('ix_audit_entry_at'), table_name='audit_entry')
    op.drop_table('audit_entry')
    if op.get_bind().dialect.name != 'sqlite':
        op.execute('DROP FUNCTION audit_entry_refuse()')
