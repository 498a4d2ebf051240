"""Client keys: those made here, and beside them those of the settings. Looked up in memory: no SQL for a request.

    check(text)  ->  whose it is          unknown, mistyped, expired and revoked ones are told apart to who holds them
    create, revoke, listed                written first, then seen here at once, on other replicas within a second

What is stored is HMAC-SHA-256 under the installation's pepper, and the last four characters. A row stays when its key
is revoked: it says who used what, and tells the holder why. It goes when the figures of its use have gone; but while
there is no other key, one that has expired stays: it keeps the doors shut. While the database is away, keys that are
known serve on.
"""

import asyncio
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Row, and_, delete, exists, func, insert, inspect, or_, select, update

from qrelay.database import READING, Database, connect, steadily, told
from qrelay.database.schema import keys
from qrelay.errors import ErrorCode, RelayError
from qrelay.keys import text as texts
from qrelay.tasks import stopped

log = structlog.get_logger()

_FLUSH_SECONDS: Final = 10.0
_DAY: Final = 86_400.0
_SETTINGS: Final = "settings_"
SETTINGS_NAME: Final = "a key of QRELAY_API_KEYS"

_MARK: Final = select(
    func.count(), func.count(keys.c.revoked_at), func.max(keys.c.created_at), func.max(keys.c.revoked_at)
).select_from(keys)
"""Changes with every key that is made, revoked or forgotten."""


class Key(Struct, frozen=True, kw_only=True):
    """One key made here. Times are seconds since the epoch; `ending` is its last four characters."""

    id: str
    name: str
    digest: str
    ending: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


class Keys:
    """Made by `open_keys`; `close` it. `given` are the keys of the settings."""

    def __init__(self, database: Database, given: Iterable[str] = (), *, days: int = 400) -> None:
        self._database = database
        self._seconds = days * _DAY
        self._pruned_at = 0.0
        self._clock = database.clock
        self._pepper = database.pepper.encode()
        self._given = {digest: _SETTINGS + digest[:12] for digest in map(self._digest, given)}
        self._known: dict[str, Key] = {}
        self._by_id: dict[str, Key] = {}
        self._used: dict[str, float] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._live: set[str] = set()
        self._mark: tuple[object, ...] = ()

    async def start(self) -> None:
        """Read them, and begin to note their use: for `open_keys`."""
        await self._load()
        self._database.watch.add(self._look)
        due = partial(asyncio.sleep, _FLUSH_SECONDS)
        self._flusher = asyncio.create_task(steadily(self._keep_up, due, waiting="when keys were used"))

    async def close(self) -> None:
        """Store when they were used."""
        if self._flusher is not None:
            await stopped(self._flusher)
        try:
            await self.flush()
        except RelayError as error:
            log.warning("when keys were used was not stored", reason=error.message)

    @property
    def needed(self) -> bool:
        """Whether a caller has to have one: there is one, of the settings or made here, if only an expired one."""
        return bool(self._live or self._given)

    @property
    def count(self) -> int:
        """How many were made here and not revoked; an expired one counts."""
        return len(self._live)

    def check(self, text: str) -> str:
        """The id of the key. Raises RelayError(client_unauthorized) that says what is wrong with it."""
        digest = self._digest(text)
        given = self._given.get(digest)
        if given is not None:
            return given
        key = self._known.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise _unknown(text)
        now = self._clock()
        if key.revoked_at is not None:
            raise RelayError(
                ErrorCode.client_unauthorized,
                "The key of the request was revoked.",
                remedy="Ask who runs this gateway for a new one, or make one with 'qrelay keys create'.",
            )
        if key.expires_at is not None and key.expires_at <= now:
            when = datetime.fromtimestamp(key.expires_at, UTC)
            raise RelayError(
                ErrorCode.client_unauthorized,
                f"The key of the request expired on {when:%Y-%m-%d at %H:%M} UTC.",
                remedy="Ask who runs this gateway for a new one, or make one with 'qrelay keys create'.",
            )
        self._used[key.id] = now
        return key.id

    def id_of(self, text: str) -> str | None:
        """Whose key it is, or was: no secret that somebody guesses. None for anything else."""
        digest = self._digest(text)
        key = self._known.get(digest)
        return self._given.get(digest) if key is None else key.id

    def name_of(self, key_id: str) -> str | None:
        """What people call the key of that id, a revoked one too; None for one that never was."""
        if key_id.startswith(_SETTINGS):
            return SETTINGS_NAME
        key = self._by_id.get(key_id)
        return None if key is None else key.name

    async def create(self, name: str, expires_at: float | None) -> tuple[Key, str]:
        """A new key, and its text: the only time it is known."""
        text = texts.new_key()
        values: dict[str, Any] = {
            "id": f"key_{secrets.token_hex(8)}",
            "name": name,
            "digest": self._digest(text),
            "ending": text[-4:],
            "created_at": self._clock(),
            "expires_at": expires_at,
        }
        async with self._database.writing(tell=True) as connection:
            row = (await connection.execute(insert(keys).values(**values).returning(keys))).one()
        return self._put(row), text

    async def revoke(self, key_id: str) -> None:
        """End it, at once. Raises RelayError(key_unknown)."""
        if key_id.isascii() and key_id.isprintable():  # no other is asked for: PostgreSQL takes no NUL
            statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
            async with self._database.writing(tell=True) as connection:
                changed = await connection.execute(statement.values(revoked_at=self._clock()).returning(keys))
                row = changed.one_or_none()
            if row is not None:
                self._put(row)
                return
        raise RelayError(ErrorCode.key_unknown, f"There is no key {key_id[:80]!r}.")

    async def listed(self) -> list[Key]:
        """All that are not revoked, oldest first, with the use that other replicas know of."""
        if self._database.shared:
            await self._load()
        live = [key for key in self._known.values() if key.revoked_at is None]
        return [
            replace(key, last_used_at=max(key.last_used_at or 0.0, self._used.get(key.id, 0.0)) or None)
            for key in sorted(live, key=lambda key: (key.created_at, key.id))
        ]

    async def flush(self) -> None:
        """Store when keys were used. Nothing is forgotten when it fails."""
        used, self._used = self._used, {}
        if not used:
            return
        rows: list[Row[Any]] = []
        try:
            async with self._database.writing() as connection:
                for key_id, at in sorted(used.items()):
                    older = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < at)
                    statement = update(keys).where(keys.c.id == key_id, older).values(last_used_at=at)
                    rows += await connection.execute(statement.returning(keys))
        except (RelayError, asyncio.CancelledError):
            self._used = used | self._used
            raise
        for row in rows:
            self._put(row)

    async def prune(self) -> None:
        """Forget keys that ended so many days ago. Raises RelayError(store_failed)."""
        self._pruned_at = self._clock()
        before = self._pruned_at - self._seconds
        other = keys.alias()
        usable = or_(other.c.expires_at.is_(None), other.c.expires_at >= before)
        shut = exists(select(other.c.id).where(other.c.revoked_at.is_(None), usable))
        over = or_(keys.c.revoked_at < before, and_(keys.c.revoked_at.is_(None), keys.c.expires_at < before, shut))
        async with self._database.writing() as connection:
            gone = (await connection.execute(delete(keys).where(over).returning(keys.c.digest))).scalars().all()
        for digest in gone:
            self._drop(digest)

    def now(self) -> float:
        """By the clock that keys expire by."""
        return self._clock()

    def is_active(self, key: Key) -> bool:
        """Whether it opens the client routes now."""
        return key.revoked_at is None and (key.expires_at is None or key.expires_at > self._clock())

    async def _load(self) -> None:
        known = set(self._known)  # what is made while this reads isn't gone
        async with self._database.reading() as connection:
            mark = (await connection.execute(_MARK)).one()
            rows: Sequence[Row[Any]] = (await connection.execute(select(keys))).all()
        for row in rows:
            self._put(row)
        for digest in known - {row.digest for row in rows}:
            self._drop(digest)
        self._mark = tuple(mark)

    async def _look(self) -> None:
        """Take over what other processes have made, revoked and forgotten."""
        async with self._database.reading() as connection:
            mark = (await connection.execute(_MARK)).one()
        if tuple(mark) != self._mark:
            await self._load()

    def _drop(self, digest: str) -> None:
        key = self._known.pop(digest, None)
        if key is not None:
            self._by_id.pop(key.id, None)
            self._live.discard(key.id)

    def _put(self, row: Row[Any]) -> Key:
        """A row into memory; one that was read before its key was revoked doesn't bring it back."""
        key = Key(**dict(zip(keys.c.keys(), row, strict=True)))
        held = self._known.get(key.digest)
        if held is not None and held.revoked_at is not None:
            key = replace(key, revoked_at=held.revoked_at)
        self._known[key.digest] = self._by_id[key.id] = key
        if key.revoked_at is None:
            self._live.add(key.id)
        else:
            self._live.discard(key.id)
        return key

    async def _keep_up(self) -> None:
        await self.flush()
        if self._clock() >= self._pruned_at + _DAY:
            await self.prune()

    def _digest(self, text: str) -> str:
        return hmac.digest(self._pepper, b"client key|" + text.encode("utf-8", "surrogatepass"), "sha256").hex()


async def open_keys(database: Database, given: Iterable[str] = (), *, days: int = 400) -> Keys:
    """The keys of a database, read, and those of the settings; close them before the database.

    `days`: how long one that has ended is remembered. Raises RelayError(store_failed).
    """
    held = Keys(database, given, days=days)
    await held.start()
    return held


async def any_stored(url: str) -> bool:
    """Whether a database holds a key that was not revoked. It is only read; one without the table has none.

    Raises RelayError(store_failed).
    """
    engine = connect(url, busy_seconds=5.0)
    try:
        with told():
            async with engine.connect() as connection:
                reading = await connection.execution_options(**READING)
                if not await reading.run_sync(lambda held: inspect(held).has_table(keys.name)):
                    return False
                return bool(await reading.scalar(select(exists().where(keys.c.revoked_at.is_(None)))))
    finally:
        await engine.dispose()


def _unknown(text: str) -> RelayError:
    if text.startswith(texts.PREFIX) and not texts.is_whole(text):
        return RelayError(
            ErrorCode.client_unauthorized,
            "The key of the request is mistyped: its check sum is wrong.",
            remedy=f"Copy it again, all {texts.LENGTH} characters of it.",
        )
    return RelayError(ErrorCode.client_unauthorized, "This gateway does not know the key of the request.")
