"""`GET /v2/audit?limit=100&before=SEQ`: who changed what, the newest first. Not the writing: `gate`.

    {"entries": [{"seq", "at", "actor", "peer", "action", "target", "target_name", "status", "detail"}],
     "next": seq or null}

`status` is that of the answer; null where nobody knows how it ended. `target_name` is what the account or key is called
now; null for one that is gone or has no name.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qrelay.errors import ErrorCode, RelayError
from qrelay.http.fields import iso
from qrelay.http.management import told
from qrelay.http.request_log import Names
from qrelay.records.audit import AuditLog, Entry

_MOST: Final = 1000
_LARGEST: Final = 2**63 - 1


def routes(audit: AuditLog, names: Names) -> list[Route]:
    async def listed(request: Request) -> JSONResponse:
        limit = min(_number(request, "limit") or 100, _MOST)
        entries, more = await audit.page(limit, _number(request, "before"))
        return JSONResponse({"entries": [_row(entry, names) for entry in entries], "next": more})

    return [Route("/v2/audit", told(listed), methods=["GET"])]


def _number(request: Request, name: str) -> int | None:
    said = request.query_params.get(name, "")
    if not said:
        return None
    number = int(said) if said.isascii() and said.isdecimal() and len(said) < 20 else 0
    if not 0 < number <= _LARGEST:
        raise RelayError(ErrorCode.request_invalid, f"{name}: it should be a number above 0.", param=name)
    return number


def _row(entry: Entry, names: Names) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "actor": entry.actor,
        "peer": entry.peer,
        "action": entry.action,
        "target": entry.target,
        "target_name": names.account(entry.target) or names.key(entry.target),
        "status": entry.status or None,
        "detail": entry.detail,
    }
