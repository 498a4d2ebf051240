"""What one call to the service needs of an account: a value the account room hands out and the upstream room uses."""

from typing import Literal, TypeAlias

from msgspec import Struct

LoginKind: TypeAlias = Literal["builder_id", "identity_center", "social", "external_idp", "api_key"]


class Credential(Struct, frozen=True, kw_only=True):
    """`generation` counts the account's tokens: it tells a stale credential from the current one. `endpoint` names the
    one it was last found to work with (`upstream/endpoints.py`).
    """

    account_id: str
    access_token: str
    generation: int = 0
    kind: LoginKind = "builder_id"
    region: str = "us-east-1"
    profile_arn: str | None = None
    endpoint: str | None = None

    def __repr__(self) -> str:
        """Without the token: a credential may end up in a log or a traceback."""
        return f"Credential(account_id={self.account_id!r}, generation={self.generation})"
