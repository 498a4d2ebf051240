"""Accounts, and the installation's own secrets."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("start_url", sa.Text()),
        sa.Column("profile_arn", sa.Text()),
        sa.Column("client_id", sa.Text()),
        sa.Column("client_secret", sa.LargeBinary()),
        sa.Column("client_secret_expires_at", sa.Double[float]()),
        sa.Column("user_id", sa.Text()),
        sa.Column("refresh_token", sa.LargeBinary()),
        sa.Column("previous_refresh_token", sa.LargeBinary()),
        sa.Column("access_token", sa.LargeBinary()),
        sa.Column("issued_at", sa.Double[float]()),
        sa.Column("expires_at", sa.Double[float]()),
        sa.Column("generation", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.Double[float]()),
        sa.Column("state", sa.Text(), nullable=False, server_default=sa.text("'ready'")),
        sa.Column("state_reason", sa.Text()),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("is_active", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Double[float]()),
        sa.Column("other", sa.LargeBinary()),
        sa.Column("error_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("success_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_error", sa.Text()),
        sa.Column("last_refresh_time", sa.Double[float]()),
        sa.Column("last_refresh_status", sa.Text()),
        sa.Column("created_at", sa.Double[float](), nullable=False),
        sa.Column("updated_at", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("uq_accounts_identity", "accounts", ["identity"], unique=True)
    op.create_index("ix_accounts_token_digest", "accounts", ["token_digest"])
    op.create_index("ix_accounts_user_id", "accounts", ["user_id"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
