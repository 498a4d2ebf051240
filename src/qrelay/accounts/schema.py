"""The tables, for SQLite and PostgreSQL alike. How they came to be: `migrations/`. What is done with them: `store`.

Times are seconds since the epoch (double precision). Columns in SEALED hold vault records, never text.
"""

from typing import Any, Final

from sqlalchemy import (
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
    Index("uq_accounts_identity", "identity", unique=True),
    Index("ix_accounts_token_digest", "token_digest"),
    Index("ix_accounts_user_id", "user_id"),
)

SEALED: Final = ("client_secret", "refresh_token", "previous_refresh_token", "access_token", "other")

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""The installation's own secrets: `pepper` (sealed) keys the digests; `canary` is bytes that prove there is room."""


class database_now(ColumnElement[float]):
    """The database's clock, as seconds since the epoch: the only clock that replicas share."""

    type = Float()
    inherit_cache = True


@compiles(database_now)
def _on_postgresql(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "extract(epoch from clock_timestamp())"


@compiles(database_now, "sqlite")
def _on_sqlite(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    # julianday and not unixepoch('subsec'), which SQLite has only since 3.42; its step is 0.04 ms.
    return "((julianday('now') - 2440587.5) * 86400.0)"
