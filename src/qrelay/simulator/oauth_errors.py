"""What the log-in side refuses with: OAuth's codes, and what AWS's clients make of them (PROTOCOL.md §6.1)."""

ERRORS: dict[str, tuple[str, int]] = {
    "authorization_pending": ("AuthorizationPendingException", 400),
    "slow_down": ("SlowDownException", 400),
    "expired_token": ("ExpiredTokenException", 400),
    "invalid_grant": ("InvalidGrantException", 400),
    "invalid_client": ("InvalidClientException", 401),
    "unauthorized_client": ("UnauthorizedClientException", 400),
    "unsupported_grant_type": ("UnsupportedGrantTypeException", 400),
    "invalid_scope": ("InvalidScopeException", 400),
    "invalid_request": ("InvalidRequestException", 400),
    "access_denied": ("AccessDeniedException", 400),
    "invalid_client_metadata": ("InvalidClientMetadataException", 400),
    "invalid_redirect_uri": ("InvalidRedirectUriException", 400),
    "invalid_request_region": ("InvalidRequestRegionException", 400),
    "server_error": ("InternalServerException", 500),
}
"""The body's `error`, its exception and status (PROTOCOL.md §6.1). The region's error says `invalid_request`."""


class OidcError(Exception):
    def __init__(self, code: str, description: str, **more: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.more = more

    @property
    def type(self) -> str:
        return ERRORS[self.code][0]

    @property
    def status(self) -> int:
        return ERRORS[self.code][1]

    def body(self) -> dict[str, str]:
        error = "invalid_request" if self.code == "invalid_request_region" else self.code
        return {"error": error, "error_description": self.description, **self.more}
