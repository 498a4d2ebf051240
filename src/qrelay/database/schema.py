"""The tables, for SQLite and PostgreSQL alike. How they came to be: `migrations/`.

Times are seconds since the epoch (double precision). Columns in SEALED_CELLS hold vault records, never text. What
anybody wrote to a model or what it answered is in `responses` alone, sealed, where the caller wants it kept.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement

from qrelay.database.columns import read_damaged_cells

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("label", Text),
    Column("kind", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("start_url", Text),
    Column("profile_arn", Text),
    Column("client_id", Text),
    Column("client_secret", LargeBinary),
    Column("client_secret_expires_at", Double),
    # Whether that client was registered here: another program's is good for refreshing only.
    Column("own_client", Boolean, nullable=False, server_default=false()),
    Column("user_id", Text),
    Column("refresh_token", LargeBinary),
    Column("previous_refresh_token", LargeBinary),
    Column("access_token", LargeBinary),
    Column("issued_at", Double),
    Column("expires_at", Double),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    # Who is refreshing, and until when by the database's clock it is theirs alone.
    Column("lease_owner", Text),
    Column("lease_until", Double),
    Column("state", Text, nullable=False, server_default=text("'ready'")),
    Column("state_reason", Text),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    Column("is_active", Boolean, nullable=False, server_default=false()),
    # Keyed digests: of the credentials first seen, which name the account for good, and of those it has now.
    Column("identity", Text, nullable=False),
    Column("token_digest", Text, nullable=False),
    Column("deleted_at", Double),
    Column("other", LargeBinary),
    Column("error_count", Integer, nullable=False, server_default=text("0")),
    Column("success_count", Integer, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    Column("last_refresh_time", Double),
    Column("last_refresh_status", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # Counts every change of the row, so that other processes see that there was one.
    Column("revision", Integer, nullable=False, server_default=text("0"), onupdate=text("coalesce(revision, 0) + 1")),
    # Which of the endpoints it was found to work with (upstream/endpoints.py).
    Column("endpoint", Text),
    # What GetUsageLimits last said, as JSON, and when.
    Column("quota", Text),
    Column("quota_read_at", Double),
    Column("quota_asked_at", Double),
    # Whose it is, as GetUsageLimits says.
    Column("email", LargeBinary),
    Index("uq_accounts_identity", "identity", unique=True),
    Index("ix_accounts_token_digest", "token_digest"),
    Index("ix_accounts_user_id", "user_id"),
)

SEALED: Final = ("client_secret", "refresh_token", "previous_refresh_token", "access_token", "other", "email")

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""The installation's own secrets: `pepper` (sealed) keys the digests, `pepper_copy` (sealed too) is read where it is
damaged; `canary` is bytes that prove there is room."""

cooldowns = Table(
    "cooldowns",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("until", Double, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("strikes", Integer, nullable=False, server_default=text("1")),
)
"""Why an account is not asked for a model (`""`: for any) and until when. `strikes` in a row make it longer."""

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("digest", Text, nullable=False),
    Column("ending", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Index("uq_keys_digest", "digest", unique=True),
)
"""Client keys of our own: a keyed digest and the last four characters, never the key."""

requests = Table(
    "requests",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("client", Text),
    Column("stream", Boolean),
    Column("status", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
    Column("model_asked", Text),
    Column("model", Text),
    Column("account_id", Text),
    Column("key_id", Text),
    Column("attempts", Text, nullable=False, server_default=text("'[]'")),
    Column("duration_ms", Double, nullable=False),
    Column("queue_ms", Double),
    Column("refresh_ms", Double),
    Column("connect_ms", Double),
    Column("first_event_ms", Double),
    Column("first_byte_ms", Double),
    Column("input_tokens", Integer),
    Column("cache_read_tokens", Integer),
    Column("cache_write_tokens", Integer),
    Column("output_tokens", Integer),
    Column("estimated", Boolean, nullable=False, server_default=false()),
    Column("credits", Double),
    Column("ignored", Text),
    Column("adjusted", Text),
    Column("upstream_request_id", Text),
    Index("uq_requests_id", "id", unique=True),
    Index("ix_requests_at", "at"),
)
"""One row for each chat request; the oldest make room. `attempts` is a JSON list."""

usage = Table(
    "usage",
    metadata,
    Column("hour", Integer, primary_key=True),
    Column("writer", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("dialect", Text, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("credits", Double, nullable=False),
)
"""What was used in an hour (hours since the epoch). Each process adds to rows of its own (`writer`): no row is hot."""

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("peer", Text),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("status", Integer, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_at", "at"),
)
"""Who changed what, and who logged in. `detail` is JSON: names of what changed, never a secret's value."""

logins = Table(
    "logins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("account_id", Text),
    Column("updated_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
)
"""Device log-ins under way, so that every replica can say how one stands. `detail`: what people are shown, as JSON."""

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("peer", Text),
)
"""Who is logged in to the console: a keyed digest of the cookie."""

responses = Table(
    "responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("text", LargeBinary),
    Column("size", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    Column("deleted_at", Double),
    Index("ix_responses_at", "at"),
    Index("ix_responses_deleted_at", "deleted_at"),
)
"""Responses that later requests may refer to, for their owner (a key's id). One that was deleted stays for a while,
without its text, so that other replicas hear of it."""

read_damaged_cells(metadata.tables.values())

SEALED_CELLS: Final = (
    (accounts, accounts.c.id, tuple(accounts.c[name] for name in SEALED)),
    (secrets, secrets.c.name, (secrets.c.value,)),
    (responses, responses.c.id, (responses.c.text,)),
)
"""Everything that is under the master key: a table, the column that names its rows, the sealed columns."""

CANARY: Final = "canary"
"""The name of the one secret that is none."""


class database_now(ColumnElement[float]):
    """The database's clock, as seconds since the epoch: the only clock that replicas share."""

    type = Float()
    inherit_cache = True


@compiles(database_now)
def _on_postgresql(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "CAST(extract(epoch from clock_timestamp()) AS double precision)"


@compiles(database_now, "sqlite")
def _on_sqlite(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    # julianday and not unixepoch('subsec'), which SQLite has only since 3.42; its step is 0.04 ms.
    return "((julianday('now') - 2440587.5) * 86400.0)"
