"""Responses that later requests refer to. Nothing took turns by `jobs`: each process prunes what it sees."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("text", sa.LargeBinary()),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double[float](), nullable=False),
        sa.Column("ends_at", sa.Double[float](), nullable=False),
        sa.Column("deleted_at", sa.Double[float]()),
        sa.PrimaryKeyConstraint("id", name="pk_responses"),
    )
    op.create_index("ix_responses_at", "responses", ["at"])
    op.create_index("ix_responses_deleted_at", "responses", ["deleted_at"])
    op.drop_table("jobs")
