"""create intents of API tokens by the id of the token

Revision ID: 0007
Revises: 0006
Create Date: 2026-12-01 09:00:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = '0007'
down_revision: Union[str, Sequence[str], None] = '0006'
branch_labels: Union[str, Sequence[str], None] = ()
depends_on: Union[str, Sequence[str], None] = None

intent = sa.table('create_intent', sa.column('id', sa.Integer), sa.column('principal', sa.String))
token = sa.table('api_token', sa.column('id', sa.Integer), sa.column('name', sa.String))


def upgrade() -> None:
    """Upgrade schema."""
    _rename({f'token:{name}': f'token:{ids[0]}' for name, ids in _ids_by_name().items() if len(ids) == 1})


def downgrade() -> None:
    """Downgrade schema."""
    _rename({f'token:{ids[0]}': f'token:{name}' for name, ids in _ids_by_name().items() if len(ids) == 1})


def _ids_by_name() -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for row in op.get_bind().execute(sa.select(token.c.id, token.c.name)):
        ids.setdefault(row.name, []).append(row.id)
    return ids


def _rename(principals: dict[str, str]) -> None:
    """Intents of a token that is gone, or whose name another has too, belong to nobody now."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(intent.c.id, intent.c.principal).where(intent.c.principal.like('token:%'))).all()
    # Through names that no principal has: a token may be called like the id of another.
    for id_, _ in rows:
        connection.execute(sa.update(intent).where(intent.c.id == id_).values(principal=f'moving:{id_}'))
    for id_, principal in rows:
        if principal in principals:
            connection.execute(sa.update(intent).where(intent.c.id == id_).values(principal=principals[principal]))
        else:
            connection.execute(sa.delete(intent).where(intent.c.id == id_))
