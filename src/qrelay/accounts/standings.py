"""How device log-ins stand, in rows that every replica reads. Not the log-ins: they are at the process that began them.

    begin   a row, before anybody is shown a code
    put     how it stands now: for who carries it through
    find    how it stands, for who is asked and has it not

The process that began one asks the token service and writes what comes of it. When that process is gone, its rows say
so by their time; of one process alone with its SQLite file, at once. What people are shown is in a row, no device code
and no token.
"""

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, update

from qrelay.database import Database
from qrelay.database.schema import logins
from qrelay.errors import ErrorCode, RelayError

LogInStatus: TypeAlias = Literal["pending", "completed", "error", "timeout"]

KEPT_SECONDS: Final = 3600.0
"""How long after its time one can still be asked about."""
_FINISHING_SECONDS: Final = 60.0
"""An approval of the last moment takes a while: tokens, profiles, whose it is."""


class UsableProfile(Struct, frozen=True):
    """One of the profiles that the account may use."""

    arn: str
    name: str = ""


class Failure(Struct, frozen=True):
    """Why there is no account."""

    code: ErrorCode
    message: str
    remedy: str


class Standing(Struct, frozen=True, kw_only=True):
    """How one stands. `account_id` is known once its tokens are stored; `note` is what its owner should know.

    `address` is where it can be approved until `ends_at`, in seconds since the epoch.
    """

    id: str
    address: str
    ends_at: float
    status: LogInStatus = "pending"
    account_id: str | None = None
    failure: Failure | None = None
    profiles: tuple[UsableProfile, ...] = ()
    note: str | None = None

    def failed(self, error: RelayError) -> "Standing":
        """It, ended by that error."""
        status: LogInStatus = "timeout" if error.code is ErrorCode.login_timeout else "error"
        return replace(self, status=status, failure=Failure(error.code, error.message, error.remedy))


class _Detail(Struct, frozen=True, omit_defaults=True):
    """What a row has as JSON."""

    address: str = ""
    failure: Failure | None = None
    profiles: tuple[UsableProfile, ...] = ()
    note: str | None = None


class Standings:
    """The rows of one database. Everything here raises RelayError(store_failed)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.clock = database.clock

    async def begin(self, standing: Standing) -> None:
        """A new one. Those that ended long ago make room."""
        async with self._database.writing() as connection:
            await connection.execute(delete(logins).where(logins.c.ends_at < self.clock() - KEPT_SECONDS))
            await connection.execute(insert(logins).values(id=standing.id, **self._cells(standing)))

    async def put(self, standing: Standing) -> None:
        """How it stands now."""
        async with self._database.writing() as connection:
            await connection.execute(update(logins).where(logins.c.id == standing.id).values(self._cells(standing)))

    async def find(self, id_: str) -> Standing:
        """One that isn't this process's. Raises RelayError(login_unknown) too."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(logins).where(logins.c.id == id_))).one_or_none()
        now = self.clock()
        if row is None or row.ends_at < now - KEPT_SECONDS:
            raise RelayError(ErrorCode.login_unknown, f"There is no log-in {id_[:100]!r}.")
        try:
            detail = msgspec.json.decode(row.detail, type=_Detail)
            status = msgspec.convert(row.status, LogInStatus)
        except msgspec.DecodeError:
            damaged = RelayError(ErrorCode.login_failed, "What was stored of this log-in is damaged.")
            return Standing(id=row.id, address="", ends_at=row.ends_at).failed(damaged)
        standing = Standing(
            id=row.id,
            address=detail.address,
            ends_at=row.ends_at,
            status=status,
            account_id=row.account_id,
            failure=detail.failure,
            profiles=detail.profiles,
            note=detail.note,
        )
        if standing.status != "pending":
            return standing
        if not self._database.shared:
            gone = "The server has ended before the log-in was approved."
            return standing.failed(RelayError(ErrorCode.login_failed, gone))
        if now > row.ends_at + _FINISHING_SECONDS:
            late = "Nobody has approved the log-in in time, or the server that waited for it is gone."
            return standing.failed(RelayError(ErrorCode.login_timeout, late))
        return standing

    def _cells(self, standing: Standing) -> dict[str, str | float | None]:
        detail = _Detail(standing.address, standing.failure, standing.profiles, standing.note)
        return {
            "status": standing.status,
            "detail": msgspec.json.encode(detail).decode(),
            "account_id": standing.account_id,
            "updated_at": self.clock(),
            "ends_at": standing.ends_at,
        }
