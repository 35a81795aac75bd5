"""seal the extra headers of sources

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-30 18:10:00.000000

"""
import json
from typing import Sequence, Union

from alembic import op
from flask import current_app
import sqlalchemy as sa

from panel.connector import origin_of
from panel.credentials.vault import AssociatedData, Vault, keys_of


# revision identifiers, used by Alembic.
revision: str = '0012'
down_revision: Union[str, Sequence[str], None] = '0011'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

source = sa.table('source', sa.column('id', sa.String), sa.column('location', sa.String), sa.column('headers', sa.JSON),
                  sa.column('headers_sealed', sa.Text), sa.column('headers_origin', sa.String))


def upgrade() -> None:
    """Upgrade schema. The values of extra headers are sealed with the newest key; their names stay readable."""
    op.add_column('source', sa.Column('headers_sealed', sa.Text(), nullable=True))
    op.add_column('source', sa.Column('headers_origin', sa.String(length=2100), server_default='', nullable=False))
    with op.batch_alter_table('source') as table:
        table.alter_column('headers_origin', server_default=None)
    vault = _vault()
    for row in op.get_bind().execute(sa.select(source.c.id, source.c.location, source.c.headers)).all():
        op.get_bind().execute(sa.update(source).where(source.c.id == row.id).values(**_sealed(vault, row)))


def _sealed(vault: Vault, row: sa.Row) -> dict[str, object]:
    # Accept was stored and never sent.
    headers = {name: value for name, value in (row.headers or {}).items() if name.lower() != 'accept'}
    if not headers:
        return {'headers': []}
    origin = origin_of(row.location)
    sealed = vault.seal(json.dumps(headers), AssociatedData(row.id, 'headers', origin))
    return {'headers': list(headers), 'headers_sealed': sealed, 'headers_origin': origin}


def downgrade() -> None:
    """Downgrade schema. The values are readable again; those that no key opens are lost."""
    vault = _vault()
    for row in op.get_bind().execute(sa.select(source)).all():
        opened = _opened(vault, row) if row.headers_sealed else {}
        op.get_bind().execute(sa.update(source).where(source.c.id == row.id).values(headers=opened))
    op.drop_column('source', 'headers_origin')
    op.drop_column('source', 'headers_sealed')


def _opened(vault: Vault, row: sa.Row) -> dict[str, str]:
    associated_data = AssociatedData(row.id, 'headers', row.headers_origin)
    return json.loads(vault.open(row.headers_sealed, associated_data))


def _vault() -> Vault:
    return Vault(keys_of(current_app.extensions['leafpanel'].config))
