"""Whether an account's client was registered here."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("own_client", sa.Boolean(), nullable=False, server_default=sa.false()))
