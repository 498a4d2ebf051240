"""How an account stands in this process now: what it is doing, and what it rests from. Values to JSON; no HTTP."""

from typing import Any

from qrelay.accounts.account import Account
from qrelay.accounts.pool import Pool
from qrelay.http.fields import iso


def standing_answer(account: Account, pool: Pool) -> dict[str, Any]:
    """`state` is `cooling` while no model can be had of it; `cooldowns` has a row for each model, `""` for all."""
    cooldowns = pool.store.cooldowns
    whole = cooldowns.whole(account.id)
    now = pool.store.clock()
    return {
        "state": pool.roll.state(account),
        "in_flight": pool.in_flight(account.id),
        "cooldowns": [
            {
                "model": entry.model,
                "until": iso(entry.until),
                "seconds": round(entry.until - now, 1),
                "code": entry.code,
                "reason": entry.reason,
            }
            for entry in cooldowns.of(account.id)
        ],
        "cooling_until": None if whole is None else iso(whole.until),
    }
