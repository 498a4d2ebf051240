"""How accounts fared since the last write: counted in memory, stored in batches. No I/O.

q2api's rules: a success sets the errors back to zero, and so many errors in a row switch an account off.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import func

from qrelay.accounts.account import Account
from qrelay.database.schema import accounts


class Tally(Struct):
    """What one account adds to its row. After a success, `errors` is the whole count and not an addition.

    `switched_off` and `suspended` are reasons why it is taken out.
    """

    successes: int = 0
    errors: int = 0
    last_error: str | None = None
    switched_off: str | None = None
    suspended: str | None = None
    endpoint: str | None = None

    def onto(self, account: Account) -> Account:
        """The account as it will be once this is stored."""
        account = replace(
            account,
            success_count=account.success_count + self.successes,
            error_count=self.errors if self.successes else account.error_count + self.errors,
            last_error=self.last_error or account.last_error,
            endpoint=self.endpoint or account.endpoint,
        )
        if self.suspended is not None:
            state = "suspended" if account.enabled else account.state
            account = replace(account, state=state, state_reason=self.suspended)
        if self.switched_off is not None:
            account = replace(account, enabled=False, state="disabled", state_reason=self.switched_off)
        return account

    def values(self) -> dict[str, Any]:
        """The same, for an UPDATE: additions are made by the database, where other processes add too."""
        values: dict[str, Any] = {
            "success_count": func.coalesce(accounts.c.success_count, 0) + self.successes,
            "error_count": self.errors if self.successes else func.coalesce(accounts.c.error_count, 0) + self.errors,
        }
        if self.last_error is not None:
            values["last_error"] = self.last_error
        if self.suspended is not None:
            values |= {"state": "suspended", "state_reason": self.suspended}
        if self.endpoint is not None:
            values["endpoint"] = self.endpoint
        if self.switched_off is not None:
            values |= {"enabled": False, "state_reason": self.switched_off}
        return values

    def then(self, later: "Tally") -> "Tally":
        """What was counted here and after it, as one."""
        return Tally(
            successes=self.successes + later.successes,
            errors=later.errors if later.successes else self.errors + later.errors,
            last_error=later.last_error or self.last_error,
            switched_off=later.switched_off or self.switched_off,
            suspended=later.suspended or self.suspended,
            endpoint=later.endpoint or self.endpoint,
        )
