"""The database under everything that is kept: one SQLite file, or a PostgreSQL server that replicas share.

    engine      a URL to an engine, and the schema brought up to date
    schema      the tables; `migrations/` says how they came to be
    opened      an open database: transactions, its clock, the installation's pepper
    clock       seconds that don't jump
    watch       what other processes changed is seen within a second

Not what any table means: that is `accounts`, `keys` and `records`.
"""

from qrelay.database.engine import HEAD, READING, connect, migrate, sqlite_path, told
from qrelay.database.opened import Database, open_database

__all__ = ["HEAD", "READING", "Database", "connect", "migrate", "open_database", "sqlite_path", "told"]
