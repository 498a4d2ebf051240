"""The audit log: who changed what, and who logged in. One row for each; the oldest make room, those of who was refused
among themselves: guessing must not push out what was changed.

    begin -> what is asked is done -> end       a change; no row, no change (docs/decisions/0008-…)
    note                                        something that has happened, by nobody's request

A row whose `status` is 0 is of a change that nobody knows the end of: the process died in it. `detail` holds names and
codes, never a value that was sent.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import delete, insert, select, update

from qrelay.database import Database
from qrelay.database.schema import audit
from qrelay.errors import RelayError

log = structlog.get_logger()

Actor: TypeAlias = Literal["admin", "loopback", "owner", "session", "system"]
"""Who it was: the admin secret as a bearer, this machine, the owner's own way in, a console session, or nobody."""

SESSION_REFUSED: Final = "session.refuse"
KEY_REFUSED: Final = "key.refuse"

KEPT: Final = 50_000
_REFUSALS_KEPT: Final = 0.1  # of those, beside them
_PRUNED_EVERY: Final = 500


class Entry(Struct, frozen=True, kw_only=True):
    """One row. `at` is seconds since the epoch."""

    seq: int
    at: float
    actor: str
    peer: str | None
    action: str
    target: str | None
    status: int
    detail: dict[str, Any]


_PLAIN: Final = tuple(name for name in Entry.__struct_fields__ if name != "detail")


class AuditLog:
    """Of one database. Where a method says nothing else it raises RelayError(store_failed)."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept

    async def begin(
        self, actor: Actor, peer: str | None, action: str, target: str | None, detail: Mapping[str, Any]
    ) -> int:
        """Write that something is about to be done; the number of its row."""
        return await self._write(actor=actor, peer=peer, action=action, target=target, status=0, detail=_json(detail))

    async def end(self, seq: int, status: int, target: str | None, detail: Mapping[str, Any]) -> None:
        """Write how it ended. A failure is logged and not raised: what was asked for has been done."""
        statement = update(audit).where(audit.c.seq == seq)
        try:
            async with self._database.writing() as connection:
                await connection.execute(statement.values(status=status, target=target, detail=_json(detail)))
        except RelayError as error:
            log.warning("how a change ended is missing in the audit log", seq=seq, status=status, reason=error.message)

    async def note(
        self,
        actor: Actor,
        action: str,
        *,
        peer: str | None = None,
        target: str | None = None,
        status: int = 200,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what has happened."""
        told = _json(detail or {})
        await self._write(actor=actor, peer=peer, action=action, target=target, status=status, detail=told)

    async def page(self, limit: int, before: int | None) -> tuple[list[Entry], int | None]:
        """So many rows, the newest first, older than `before`; and what to ask for next, None at the end."""
        rows = select(audit).order_by(audit.c.seq.desc()).limit(limit + 1)
        if before is not None:
            rows = rows.where(audit.c.seq < before)
        async with self._database.reading() as connection:
            found = (await connection.execute(rows)).all()
        entries = [
            Entry(**{name: getattr(row, name) for name in _PLAIN}, detail=_detail(row.detail)) for row in found[:limit]
        ]
        return entries, entries[-1].seq if len(found) > limit else None

    async def _write(self, **values: Any) -> int:
        row = insert(audit).values(at=self._database.clock(), **values).returning(audit.c.seq)
        async with self._database.writing() as connection:
            seq: int = (await connection.execute(row)).scalar_one()
            if seq % _PRUNED_EVERY == 0:
                refused = audit.c.action.in_((SESSION_REFUSED, KEY_REFUSED))
                for kind, kept in ((~refused, self._kept), (refused, int(self._kept * _REFUSALS_KEPT))):
                    newest = select(audit.c.seq).where(kind).order_by(audit.c.seq.desc())
                    over = newest.offset(kept).limit(1).scalar_subquery()
                    await connection.execute(delete(audit).where(kind, audit.c.seq <= over))
        return seq


def _detail(text: str) -> dict[str, Any]:
    """Read what `_json` wrote; return nothing for a damaged cell."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _json(detail: Mapping[str, Any]) -> str:
    return msgspec.json.encode(detail).decode()
