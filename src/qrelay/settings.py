"""Every setting, once: its name, older names, default and a sentence. Read in `cli/`, passed by argument from there.

A value is looked for in the environment first, then in `.env` in the working folder; in each, `QRELAY_<NAME>` goes
before the older names (`Also`). What is in neither may be in aq2api's `config.json` (`older_config`). An empty value
counts as not set. `docs/reference/settings.md` is made from this file.

`Settings(...)` made by hand (tests, demo) holds what it is given and defaults, whatever the environment says;
`Settings.load()` is what reads the environment. Not here: what a value may look like (`setting_types`), and anything
that acts on one.
"""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, cast
from urllib.parse import unquote, urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from qrelay import older_config
from qrelay.setting_types import (
    Aliases,
    Certificates,
    DatabaseAddress,
    EndpointNames,
    EndpointUrls,
    Failpoint,
    HeaderValue,
    Location,
    Networks,
    Origins,
    ProxyAddress,
    Seconds,
    Secrets,
    WebAddress,
    Words,
    folder,
)

PREFIX = "QRELAY_"
_PASSWORD_OPTION = re.compile(r"(?<=[?&])(\w*password=)([^&]+)")
"""Among the options at the end of a database's address."""
_LONGEST_HOST = 255
"""Characters of a host name (RFC 1035); what clients send may be longer, and must not fill a cache."""
_YES = frozenset({"1", "true", "yes", "on", "t", "y"})  # as pydantic reads a bool


class Also(NamedTuple):
    """An older name of a setting, from a gateway people switch from (SWITCHING.md) or from common use."""

    name: str


class AlsoNot(NamedTuple):
    """An older name that says the opposite: a yes there is a no here."""

    name: str


COMMAND_LINE: Final = "command line"


class Spelling(NamedTuple):
    """Where a value was found: the variable's `name`, in the `environment` or in the file `.env`.

    An option's is `--name` on the `command line`, and what `qrelay demo` puts in its place is its own.
    """

    name: str
    place: str

    def __str__(self) -> str:
        return self.name if self.place in {"environment", COMMAND_LINE} else f"{self.name} in {self.place}"


class Sourced(NamedTuple):
    """One row of `qrelay settings`: `value` as text, secrets masked; `source` is None for a default."""

    name: str
    value: str
    source: Spelling | None


class SettingsRefused(Exception):  # noqa: N818 - it is a verdict on the operator's choice, not a fault of ours
    """The settings as they are must not be used. `remedies` are lines to type or changes to make."""

    def __init__(self, message: str, *remedies: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedies = remedies


class Settings(BaseSettings):
    """What an operator may choose. Frozen; secrets are `SecretStr`. Raises pydantic's ValidationError when made by
    hand with wrong values, `SettingsRefused` when loaded with them.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=None, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    # Where it listens, and for whom
    host: str = "127.0.0.1"
    """The address to listen on. Any other than a loopback one needs a client key and an admin secret."""
    port: Annotated[int, Also("PORT"), Field(ge=0, le=65_535)] = 8000
    """The port to listen on; 0 takes a free one and prints it."""
    api_keys: Annotated[Secrets, Also("OPENAI_KEYS")] = ()
    """The keys clients may use, separated by commas, beside those of `qrelay keys`. Without any of both, on loopback,
    every caller is let in."""
    admin_secret: SecretStr | None = None
    """What opens the management routes, as a bearer, and the console. Without it they answer only direct callers on
    loopback."""
    allowed_hosts: Words = ()
    """More names callers may reach the gateway by (their `Host`), separated by commas; loopback names always may."""
    trusted_proxies: Networks = ()
    """Addresses and networks of proxies, separated by commas, whose `X-Forwarded-For` or `Forwarded` says who came to
    them: wrong secrets count for that address, and the audit log shows it. It opens nothing."""
    cors_origins: Origins = ()
    """The browser origins that may call the client routes, such as https://chat.example, separated by commas. Never
    the management routes."""
    console: Annotated[bool, Also("ENABLE_CONSOLE")] = True
    """Whether there are management routes; with false they answer 404."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """The largest request body that is read; a larger one is answered with 413."""
    body_budget_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """The most bytes that the bodies of all requests in progress may have together, those up to 64 KiB not counted;
    beyond it a request is answered with 503 and Retry-After. A request needs up to 6 times its body in memory."""
    max_messages: Annotated[int, Field(ge=1)] = 20_000
    """The most entries of `messages` or `input` in one request, stored ones included; more is answered with 400."""
    max_parts: Annotated[int, Field(ge=1)] = 100_000
    """The most content parts, tool calls and results in one request; more is answered with 400."""
    max_tools: Annotated[int, Field(ge=1)] = 2_000
    """The most tools in one request; more is answered with 400."""
    max_stop_sequences: Annotated[int, Field(ge=1)] = 256
    """The most stop sequences in one request; more is answered with 400."""
    max_stop_sequence_characters: Annotated[int, Field(ge=1)] = 1_024
    """The longest stop sequence; a longer one is answered with 400."""
    max_json_values: Annotated[int, Field(ge=1000)] = 400_000
    """The most JSON values in a body over 128 KiB; more is answered with 400."""
    max_json_depth: Annotated[int, Field(ge=16)] = 128
    """The deepest nesting of JSON in a body over 128 KiB; a deeper one is answered with 400."""
    max_text_bytes: Annotated[int, Field(ge=1024)] = 12 * 1024 * 1024
    """The most bytes of text in a body over 128 KiB: strings with escapes or with characters beyond ASCII, of which
    files in base64 have none; more is answered with 400."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most client connections open together, at most half of the file descriptors that the process may have.
    Beyond it the oldest idle connection is closed; if none is idle, chat requests get 503."""
    max_connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """The most client connections from one address. Loopback addresses and QRELAY_TRUSTED_PROXIES are not limited."""
    head_timeout_seconds: Seconds = 20
    """The time for the head of a request to arrive; after it the answer is 408. A connection that sends nothing is
    closed after the same time."""
    body_timeout_seconds: Seconds = 30
    """The time for the body of a request to arrive, plus one second for every 500 bytes that came; after it the
    answer is 408."""
    send_timeout_seconds: Seconds = 300
    """The time a client may leave its answer unread; after it the connection is closed."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 0
    """The time after SIGTERM in which new requests are accepted while `/readyz` answers 503. Behind a load balancer,
    set it to more than the load balancer needs to notice, and to more than it keeps idle connections: 10 for the
    configurations in the guides."""
    shutdown_seconds: Annotated[float, Field(ge=0, le=3600)] = 30
    """How long after that answers may still go on; then they end with an error. Ctrl-C, or a second SIGTERM, ends all
    at once."""

    # Where state lives
    home: Location = Field(default_factory=lambda: platformdirs.user_data_path("qrelay", appauthor=False))
    """The folder of everything that is kept. Only its owner may read it."""
    database_url: Annotated[DatabaseAddress | None, Also("DATABASE_URL"), Field(repr=False)] = None
    """The SQLite file to use as `sqlite:///path`, or `postgresql://user:password@host/database` for any number of
    processes (docs/guide/replicas.md); when unset, `qrelay.sqlite3` in the home folder."""
    master_key: SecretStr | None = None
    """The key that encrypts tokens at rest: 32 bytes as base64 or hex. When unset, it comes from the key file."""
    master_key_file: Location | None = None
    """The file of that key, asked first; without either, `master.key` in the home folder, made at the first start."""

    # The account from variables
    amazonq_refresh_token: Annotated[SecretStr | None, Also("AMAZONQ_REFRESH_TOKEN")] = None
    """An account's refresh token. With it and the next two set, that account is there from the start."""
    amazonq_client_id: Annotated[str | None, Also("AMAZONQ_CLIENT_ID")] = None
    """The client id that account logged in with."""
    amazonq_client_secret: Annotated[SecretStr | None, Also("AMAZONQ_CLIENT_SECRET")] = None
    """The client secret that belongs to it."""
    amazonq_profile_arn: Annotated[str | None, Also("AMAZONQ_PROFILE_ARN")] = None
    """The profile ARN of that account, if it has one."""

    # The service
    api_endpoint: Annotated[WebAddress | None, Also("AMAZONQ_API_ENDPOINT")] = None
    """The address used for every call to the service, in place of the built-in table of endpoints."""
    token_endpoint: Annotated[WebAddress | None, Also("AMAZONQ_TOKEN_ENDPOINT")] = None
    """The address tokens are refreshed at (…/token), in place of the one of the account's region."""
    endpoints: EndpointNames = ()
    """The endpoints to try and in which order, separated by commas, in place of the built-in order
    (docs/reference/endpoints.md); with `+arn` the account's profile is named there."""
    endpoint_urls: EndpointUrls = ()
    """Addresses in place of single hosts of the table: name=address pairs, separated by commas; names are q, kiro and
    kiro-management, and {region} in an address is the region."""
    binding: Literal["awsjson", "restjson"] | None = None
    """Which of the service's two request forms is used, in place of the table's."""
    origin: str | None = None
    """What the service is told the request came from, in place of the table's."""
    require_tail: Literal["auto", "always", "never"] = "auto"
    """Whether a reply must end with the closing events of the service; `auto`: where nothing else shows its end."""
    cache_points: Literal["none", "tools"] = "none"
    """What of a request is marked for the service's prompt cache: `tools`, for models whose row in the account's list
    says they have one. Some hosts are said to refuse the mark."""
    max_request_bytes: Annotated[int, Field(ge=10_000)] = 1_250_000
    """The largest request sent to the service, images not counted; what is larger is told to be too long. Newer hosts
    may take more."""
    pdf_pages: Annotated[int, Field(ge=0, le=10_000)] = 100
    """How many pages of an attached PDF the model gets as text; 0 is none. Needs `make extras`."""
    connect_timeout_seconds: Seconds = 5
    """How long connecting to the service may take."""
    first_event_timeout_seconds: Seconds = 120
    """How long the service may take until the first event of a reply."""
    silence_timeout_seconds: Seconds = 120
    """How long the service may be silent within a reply."""
    total_timeout_seconds: Seconds = 1800
    """How long a whole reply may take."""

    # The way out
    proxy: Annotated[ProxyAddress | None, Also("HTTP_PROXY")] = None
    """The HTTP proxy that all calls outwards go through: https, token calls and loopback included."""
    no_proxy: Annotated[Words, Also("NO_PROXY"), Also("no_proxy")] = ()
    """The hosts, domains, addresses and networks that are called without the proxy, separated by commas."""
    ca_bundle: Annotated[
        Certificates | None, Also("AMAZONQ_CA_BUNDLE"), Also("AWS_CA_BUNDLE"), Also("REQUESTS_CA_BUNDLE")
    ] = None
    """The file (or folder) of the certificates that calls outwards trust, in place of the system's."""
    verify_oidc_tls: Annotated[bool, AlsoNot("DISABLE_AMAZONQ_SSL_VERIFY")] = True
    """Whether the certificate of the token service is checked. Turn it off to find a fault, never for long."""

    # Accounts
    strategy: Literal["sticky", "least_busy", "random", "active"] = "sticky"
    """Whose turn it is: a session stays with its account; the least busy one; any; or only the active one."""
    refresh_check_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """How often accounts are looked over for tokens that are about to expire."""
    refresh_lead_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long before its expiry a token is refreshed."""
    refresh_lease_seconds: Annotated[int, Field(ge=15, le=600)] = 30
    """How long one process has an account to itself while it refreshes it: longer than a token call can take (10)."""
    previous_tokens: bool = False
    """Whether the token service is known to accept the refresh token before the last one: then one that is refused is
    followed by one try with it."""
    quota_check_seconds: Annotated[int, Field(ge=0, le=86_400)] = 900
    """How often the service is asked what each account has left; with 0 only when somebody wants to know."""
    login_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 300
    """How long somebody has to approve a log-in, and how long a claim of it waits."""
    max_error_count: Annotated[int, Also("MAX_ERROR_COUNT"), Field(ge=1)] = 100
    """After how many failures without a success between them an account is disabled."""
    account_concurrency: Annotated[int, Field(ge=0)] = 0
    """How many requests an account has at once in this process; 0 is any number. The others wait for room."""
    queue_seconds: Seconds = 30
    """How long a request waits for an account with room, before it is told to come again (429)."""

    # What clients see
    ping_seconds: Seconds = 15
    """How long a stream may be silent towards the client before a keep-alive is sent."""
    anthropic_stream_default: bool = False
    """Whether a Messages request that doesn't say `stream` is streamed, as aq2api did."""
    anthropic_version: Annotated[HeaderValue | None, Also("ANTHROPIC_VERSION")] = None
    """What the `anthropic-version` header of Messages answers says; when unset, they have none."""
    show_account: bool = False
    """Whether answers name the account that served them, in the header `x-qrelay-account`."""
    model_aliases: Aliases = ()
    """Names of your own for models: name=model pairs, separated by commas."""
    remote_images: Literal["reject", "allowlist", "public"] = "reject"
    """What happens to images given as a remote URL: they are refused (`reject`), fetched from the hosts of
    `QRELAY_REMOTE_IMAGE_HOSTS` (`allowlist`), or from any host at public addresses by https (`public`)."""
    remote_image_hosts: Words = ()
    """Hosts images may be fetched from with `QRELAY_REMOTE_IMAGES=allowlist`, as `host` or `host:port`, separated by
    commas. They may be on networks of your own."""

    # Records
    request_log_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """How many requests the request log keeps, the newest; 0 keeps none. No prompt and no answer is ever in it."""
    usage_days: Annotated[int, Field(ge=1, le=3650)] = 400
    """For how many days the figures of usage are kept, and keys that were revoked or have expired."""
    response_days: Annotated[int, Field(ge=0, le=365)] = 30
    """For how many days responses are kept in the database, sealed, for `previous_response_id` and
    `GET /v1/responses/{id}`, unless a request says `store: false`; 0 keeps them in memory only."""

    # Logs
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = "info"
    """How much is logged."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """How it is logged; `auto` is text on a terminal, else one JSON object a line."""

    # Faults of the process
    core_dumps: bool = False
    """Allow core dumps after a crash. A dump holds keys, tokens and prompts. With false, py-spy, strace and gdb can
    attach on Linux as root only."""

    # Tests
    testing: bool = False
    """Whether this is a test's own process: without it, QRELAY_FAILPOINT has no effect."""
    failpoint: Failpoint | None = None
    """A step at which the process kills, stops or fails itself (`refresh.before_commit:kill9`); see QRELAY_TESTING."""

    _idle: list[Spelling] = PrivateAttr(default_factory=list[Spelling])
    _sources: dict[str, Spelling] = PrivateAttr(default_factory=dict[str, Spelling])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all five by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in. `load` does the looking: pydantic-settings' own sources can't tell which name a value
        came from, and let a `QRELAY_PORT` in `.env` go before a `PORT` in the environment.
        """
        return (init_settings,)

    @field_validator("remote_images")
    @classmethod
    def _not_by_proxy(cls, value: str, info: ValidationInfo) -> str:
        """A proxy looks names up by itself: nobody would see where they lead."""
        if value == "public" and info.data.get("proxy") is not None:
            raise ValueError("with a proxy only the hosts of an allowlist can be fetched from")
        return value

    @field_validator("admin_secret", "master_key", "amazonq_refresh_token", "amazonq_client_secret")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value().strip() else None

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, env_file: Path = Path(".env"), **given: Any) -> Self:
        """Settings of this process; `given` (command-line options) goes before everything. Raises SettingsRefused."""
        places = (("environment", environ), (str(env_file), _read(env_file)))
        values: dict[str, Any] = {}
        sources: dict[str, Spelling] = {}
        for field in cls.model_fields:
            if (found := _find(names(field), places)) is not None:
                sources[field], values[field] = found
                if found[0].name in opposites(field):
                    values[field] = str(found[1].strip().lower() not in _YES)
        older = older_config.read(env_file.parent / older_config.FILE)
        for field, (name, value) in older.values.items():
            if field not in values:
                sources[field], values[field] = Spelling(name, older_config.FILE), value
        try:
            settings = cls(**(values | given))
        except ValidationError as refused:
            raise _refusal(refused, sources) from None
        settings._idle.extend(Spelling(name, older_config.FILE) for name in older.idle)
        settings._sources.update(sources | {field: Spelling(f"--{field}", COMMAND_LINE) for field in given})
        return settings

    def replaced(self, by: str, values: Mapping[str, Any]) -> Self:
        """These, with other values in the place of some; `by` is the command whose values they are."""
        copy = self.model_copy(update=values)
        copy._sources = self._sources | dict.fromkeys(values, Spelling(by, COMMAND_LINE))  # noqa: SLF001 - a copy of ours
        return copy

    def sources(self) -> list[Sourced]:
        """Every setting with its value as text and where it came from. Nothing secret is in it."""
        return [
            Sourced(PREFIX + field.upper(), _shown(getattr(self, field)), self._sources.get(field))
            for field in type(self).model_fields
        ]

    def idle(self) -> list[Spelling]:
        """What was set where an older gateway looked, and has no effect here."""
        return list(self._idle)

    @property
    def database_path(self) -> Path | None:
        """The SQLite file; None for a server's database, which other processes may use too."""
        if self.database_url is None:
            return self.home / "qrelay.sqlite3"
        if self.database_url.startswith("postgresql:"):
            return None
        return folder(Path(unquote(self.database_url.removeprefix("sqlite:///"))))

    @property
    def endpoint_addresses(self) -> tuple[tuple[str, str], ...]:
        """Names of hosts and their addresses."""
        pairs = (pair.partition("=") for pair in self.endpoint_urls)
        return tuple((name.strip(), url.strip()) for name, _, url in pairs)

    @property
    def database_address(self) -> str:
        """`sqlite:///path` or `postgresql://…`, password and all."""
        return (
            self.database_url if self.database_url and self.database_path is None else f"sqlite:///{self.database_path}"
        )

    @property
    def aliases(self) -> dict[str, str]:
        """Names of models to models."""
        pairs = (pair.partition("=") for pair in self.model_aliases)
        return {name.strip(): model.strip() for name, _, model in pairs}

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)

    def secrets(self) -> list[str]:
        """The secret values among the settings, for those who must keep them out of what they write."""
        held = [getattr(self, field) for field in type(self).model_fields]
        known = [value.get_secret_value() for value in (*held, *self.api_keys) if isinstance(value, SecretStr)]
        passwords = [urlsplit(address or "").password for address in (self.proxy, self.database_url)]
        passwords += [found[2] for found in _PASSWORD_OPTION.finditer(self.database_url or "")]
        return [*known, *(word for password in passwords if password for word in (password, unquote(password)))]


def names(field: str) -> list[str]:
    """The variables a setting is read from, the first that is set wins."""
    metadata: Sequence[object] = Settings.model_fields[field].metadata
    return [PREFIX + field.upper(), *(item.name for item in metadata if isinstance(item, Also | AlsoNot))]


def described(field: str) -> str:
    """The sentences on a setting, in one line."""
    return " ".join((Settings.model_fields[field].description or "").split())


def opposites(field: str) -> set[str]:
    """Those of them that say the opposite of the setting."""
    metadata: Sequence[object] = Settings.model_fields[field].metadata
    return {item.name for item in metadata if isinstance(item, AlsoNot)}


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and are not: most likely misspelt, and without any effect."""
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: localhost, 127.0.0.0/8 or ::1."""
    return len(host) <= _LONGEST_HOST and _is_loopback(host)


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _read(env_file: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{env_file} can't be read: {error}.") from error


def _find(wanted: Sequence[str], places: Sequence[tuple[str, Mapping[str, str | None]]]) -> tuple[Spelling, str] | None:
    for place, held in places:
        for name in wanted:
            if value := held.get(name):
                return Spelling(name, place), value
    return None


def _refusal(error: ValidationError, sources: Mapping[str, Spelling]) -> SettingsRefused:
    """What pydantic found as one sentence a variable, without the value: it may be a secret."""
    sentences: list[str] = []
    for finding in error.errors(include_url=False, include_input=False, include_context=False):
        field = str(finding["loc"][0])
        said = finding["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        sentences.append(f"{sources.get(field, PREFIX + field.upper())} can't be used: {said}.")
    return SettingsRefused(" ".join(sentences), "docs/reference/settings.md says what each setting takes.")


def _shown(value: object) -> str:
    match value:
        case None | ():
            return "(not set)"
        case SecretStr():
            return "********"
        case tuple():
            return ", ".join(_shown(item) for item in cast("tuple[object, ...]", value))
        case bool():
            return str(value).lower()
        case str() if "://" in value:
            scheme, _, place = value.partition("://")
            user, at, rest = place.rpartition("@")
            rest = _PASSWORD_OPTION.sub(r"\1********", rest)
            return f"{scheme}://{'********' if user else ''}{at}{rest}"
        case _:
            return str(value)
