"""Whose account it is, and when its quota was last asked for."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("email", sa.LargeBinary()))
    op.add_column("accounts", sa.Column("quota_asked_at", sa.Double[float]()))
