"""Console sessions: a random id in a cookie, its digest in a row, so that any replica knows it. Not cookies: `http`.

A session ends after 30 minutes without a request (what a page asks by itself is none), after 12 hours in any case, when
its owner logs out, and when the admin secret it was opened with is another one.
"""

import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from typing import Final, NamedTuple

from sqlalchemy import delete, insert, or_, select, update

from qrelay.database import Database
from qrelay.database.schema import sessions
from qrelay.errors import RelayError

IDLE_SECONDS: Final = 30 * 60.0
LONGEST_SECONDS: Final = 12 * 3600.0
_SEEN_STEP: Final = 60.0
_TOKEN: Final = re.compile(r"[\w-]{43}", re.ASCII)


class Opened(NamedTuple):
    """A session just opened: what its cookie holds, and when it ends at the latest."""

    token: str
    ends_at: float


class Sessions:
    """`admin_secret` is what opens one."""

    def __init__(self, database: Database, admin_secret: str) -> None:
        self._database = database
        self._clock = database.clock
        secret = hashlib.sha256(admin_secret.encode("utf-8", "surrogatepass")).digest()
        self._pepper = hmac.digest(database.pepper.encode(), b"session|" + secret, "sha256")

    async def open(self, peer: str | None, *, before: str = "") -> Opened:
        """A new one, in place of the caller's one before. Raises RelayError(store_failed)."""
        now = self._clock()
        token = secrets.token_urlsafe(32)
        over = or_(
            sessions.c.created_at < now - LONGEST_SECONDS,
            sessions.c.seen_at < now - IDLE_SECONDS,
            sessions.c.digest == self._digest(before),
        )
        async with self._database.writing() as connection:
            await connection.execute(delete(sessions).where(over))
            values = {"digest": self._digest(token), "created_at": now, "seen_at": now, "peer": peer}
            await connection.execute(insert(sessions).values(**values))
        return Opened(token, now + LONGEST_SECONDS)

    async def ends_at(self, token: str, *, touch: bool = True) -> float | None:
        """When that session ends at the latest; None if there is none (any more). With `touch` it isn't idle now.

        Raises RelayError(store_failed).
        """
        if not _TOKEN.fullmatch(token):
            return None
        mine = sessions.c.digest == self._digest(token)
        async with self._database.reading() as connection:
            row = (await connection.execute(select(sessions).where(mine))).one_or_none()
        now = self._clock()
        if row is None or row.created_at <= now - LONGEST_SECONDS or row.seen_at <= now - IDLE_SECONDS:
            return None
        if touch and row.seen_at < now - _SEEN_STEP:
            with suppress(RelayError):  # a full disk must not log anybody out; the next request tries again
                async with self._database.writing() as connection:
                    await connection.execute(update(sessions).where(mine).values(seen_at=now))
        return row.created_at + LONGEST_SECONDS

    async def close(self, token: str) -> None:
        """End it."""
        async with self._database.writing() as connection:
            await connection.execute(delete(sessions).where(sessions.c.digest == self._digest(token)))

    def _digest(self, token: str) -> str:
        return hmac.digest(self._pepper, token.encode("utf-8", "surrogatepass"), "sha256").hex()
