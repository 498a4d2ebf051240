"""The account that the AMAZONQ_* variables name (amq2api's way). Values are passed in: nothing is read here."""

from qrelay.accounts.account import API_KEY_PREFIX, Account, NewAccount
from qrelay.accounts.store import AccountStore
from qrelay.errors import ErrorCode, RelayError


async def adopt_environment_account(
    store: AccountStore,
    *,
    refresh_token: str | None,
    client_id: str | None,
    client_secret: str | None,
    profile_arn: str | None = None,
) -> Account | None:
    """Add that account unless it is known; None when no refresh token is set, or the account was deleted here.

    It stays one row by the refresh token the variables held first: a restart neither doubles it nor brings back a token
    that has been rotated since (SWITCHING.md, amq2api). Raises RelayError(request_invalid) naming a variable that is
    missing, store_failed.
    """
    if not refresh_token:
        return None
    if refresh_token.startswith(API_KEY_PREFIX):
        return await store.adopt(NewAccount(kind="api_key", label="environment", access_token=refresh_token))
    for name, value in {"AMAZONQ_CLIENT_ID": client_id, "AMAZONQ_CLIENT_SECRET": client_secret}.items():
        if not value:
            raise RelayError(
                ErrorCode.request_invalid,
                f"AMAZONQ_REFRESH_TOKEN is set but {name} isn't: a refresh token works only with its client.",
                remedy=f"Set {name}, or unset AMAZONQ_REFRESH_TOKEN.",
                param=name,
            )
    return await store.adopt(
        NewAccount(
            label="environment",
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=refresh_token,
            profile_arn=profile_arn or None,
        )
    )
