"""names in the form in which they are compared

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-30 18:00:00.000000

"""
import unicodedata
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0009'
down_revision: Union[str, Sequence[str], None] = '0008'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

TABLES = ('user', 'embed_app')


def upgrade() -> None:
    """Upgrade schema."""
    for table in TABLES:
        op.add_column(table, sa.Column('folded_name', sa.String(length=700), server_default='', nullable=False))
        _fill(sa.table(table, sa.column('id'), sa.column('name'), sa.column('folded_name'), sa.column('created_at')))
        op.create_index(op.f(f'ix_{table}_folded_name'), table, ['folded_name'], unique=True)


def _fill(rows: sa.TableClause) -> None:
    """Of names that differ in case only, the oldest keeps the plain form.

    The suffix of the others has a line break, which no new name may contain: they are found by their exact spelling.
    """
    connection, taken = op.get_bind(), set()
    for row in connection.execute(sa.select(rows).order_by(rows.c.created_at, rows.c.id)).all():
        folded = unicodedata.normalize('NFC', unicodedata.normalize('NFC', row.name.strip()).casefold())
        folded = f'{folded}\n{row.id}' if folded in taken else folded
        taken.add(folded)
        connection.execute(rows.update().where(rows.c.id == row.id).values(folded_name=folded))


def downgrade() -> None:
    """Downgrade schema."""
    for table in TABLES:
        op.drop_index(op.f(f'ix_{table}_folded_name'), table_name=table)
        op.drop_column(table, 'folded_name')
