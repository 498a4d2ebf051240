"""Cool-downs, keys, the logs and what replicas share."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("accounts", sa.Column("endpoint", sa.Text()))
    op.add_column("accounts", sa.Column("quota", sa.Text()))
    op.add_column("accounts", sa.Column("quota_read_at", sa.Double[float]()))
    op.create_table(
        "cooldowns",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("until", sa.Double[float](), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.PrimaryKeyConstraint("account_id", "model", name="pk_cooldowns"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double[float](), nullable=False),
        sa.Column("expires_at", sa.Double[float]()),
        sa.Column("revoked_at", sa.Double[float]()),
        sa.Column("last_used_at", sa.Double[float]()),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("uq_keys_digest", "keys", ["digest"], unique=True)
    op.create_table(
        "requests",
        sa.Column("seq", _SEQUENCE, nullable=False, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double[float](), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("client", sa.Text()),
        sa.Column("stream", sa.Boolean()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("model_asked", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("account_id", sa.Text()),
        sa.Column("key_id", sa.Text()),
        sa.Column("attempts", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("duration_ms", sa.Double[float](), nullable=False),
        sa.Column("queue_ms", sa.Double[float]()),
        sa.Column("refresh_ms", sa.Double[float]()),
        sa.Column("connect_ms", sa.Double[float]()),
        sa.Column("first_event_ms", sa.Double[float]()),
        sa.Column("first_byte_ms", sa.Double[float]()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("cache_read_tokens", sa.Integer()),
        sa.Column("cache_write_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("estimated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("credits", sa.Double[float]()),
        sa.Column("ignored", sa.Text()),
        sa.Column("adjusted", sa.Text()),
        sa.Column("upstream_request_id", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name="pk_requests"),
    )
    op.create_index("uq_requests_id", "requests", ["id"], unique=True)
    op.create_index("ix_requests_at", "requests", ["at"])
    op.create_table(
        "usage",
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("hour", "writer", "account_id", "key_id", "model", "dialect", name="pk_usage"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", _SEQUENCE, nullable=False, autoincrement=True),
        sa.Column("at", sa.Double[float](), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "logins",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("updated_at", sa.Double[float](), nullable=False),
        sa.Column("ends_at", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double[float](), nullable=False),
        sa.Column("seen_at", sa.Double[float](), nullable=False),
        sa.Column("peer", sa.Text()),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
