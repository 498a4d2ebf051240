"""The database under everything that is kept: one SQLite file, or a PostgreSQL server that replicas share.

    engine      a URL to an engine
    versions    the schema made, or brought up to date
    schema      the tables; `migrations/` says how they came to be
    columns     types of columns that read damaged cells
    opened      an open database: transactions, its clock, the installation's pepper
    file        a SQLite file that vanishes while it is open
    lines       connections to a server that may fall silent
    clock       seconds that don't jump
    resealing   every record sealed anew for another master key
    watch       what other processes changed is seen within a second
    steadily    what waits in memory is written again and again, whatever happens once

Not what any table means: that is `accounts`, `keys` and `records`.
"""

from qrelay.database.engine import READING, connect, inserting, sqlite_path, told
from qrelay.database.opened import Database, holds_secrets, open_database
from qrelay.database.steadily import steadily
from qrelay.database.versions import HEAD, back_up, backup_name, migrate, version

__all__ = [
    "HEAD",
    "READING",
    "Database",
    "back_up",
    "backup_name",
    "connect",
    "holds_secrets",
    "inserting",
    "migrate",
    "open_database",
    "sqlite_path",
    "steadily",
    "told",
    "version",
]
