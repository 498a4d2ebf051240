"""What settings alone decide, made of them: the database, the ways out, the endpoints, the account of the variables.

Not what they are put together to: `app`.
"""

import structlog

from qrelay.accounts.environment import adopt_environment_account
from qrelay.accounts.store import AccountStore
from qrelay.apis.request_limits import RequestLimits
from qrelay.database import Database, holds_secrets, open_database
from qrelay.http.body import Bodies
from qrelay.outward import proxy_for
from qrelay.outward.http1 import Connections
from qrelay.outward.public import public_addresses
from qrelay.server.connections import ConnectionLimits
from qrelay.settings import Settings
from qrelay.trust import trusting, unchecked
from qrelay.upstream.client import Timeouts
from qrelay.upstream.endpoints import Table
from qrelay.vault import open_vault

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def database(settings: Settings) -> Database:
    """The database, opened, with the key that opens what is sealed in it. Raises RelayError."""
    key = settings.master_key.get_secret_value() if settings.master_key else None
    path, address, given = settings.database_path, settings.database_address, key or settings.master_key_file
    stored = path.exists() if path is not None else not given and await holds_secrets(address)
    made = not given and not (settings.home / "master.key").exists()
    vault = open_vault(settings.home, key_file=settings.master_key_file, key=key, stored=stored)
    opened = await open_database(address, vault, backups=settings.home / "backups")
    if made and opened.shared:
        log.warning(
            "a master key was made; every process on this database needs the same one",
            file=str(settings.home / "master.key"),
            remedy="Copy it to the others, privately, and name it there in QRELAY_MASTER_KEY_FILE.",
        )
    return opened


async def account(settings: Settings, store: AccountStore) -> None:
    """Add the account that is named by variables, unless it is known. Raises RelayError."""
    token, secret = settings.amazonq_refresh_token, settings.amazonq_client_secret
    await adopt_environment_account(
        store,
        refresh_token=token.get_secret_value() if token else None,
        client_id=settings.amazonq_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        profile_arn=settings.amazonq_profile_arn,
    )


def connections(settings: Settings) -> tuple[Connections, Connections]:
    """The way to the service, and the one to the token services: the same unless only the latter goes unchecked."""
    proxy = proxy_for(settings.proxy, settings.no_proxy)
    calls = Connections(trusting(settings.ca_bundle) if settings.ca_bundle is not None else None, proxy)
    return calls, calls if settings.verify_oidc_tls else Connections(unchecked(), proxy)


def image_connections(settings: Settings) -> Connections:
    """The way to images that strangers name: to public addresses only, unless their hosts are named in the settings."""
    tls = trusting(settings.ca_bundle) if settings.ca_bundle is not None else None
    if settings.remote_images == "public":
        return Connections(tls, resolve=public_addresses)
    return Connections(tls, proxy_for(settings.proxy, settings.no_proxy))


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Limits on clients' connections."""
    return ConnectionLimits(
        total=settings.max_connections,
        per_address=settings.max_connections_per_address,
        trusted=settings.trusted_proxies,
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        send_seconds=settings.send_timeout_seconds,
    )


def bodies(settings: Settings) -> Bodies:
    """Limits on request bodies."""
    limits = RequestLimits(
        messages=settings.max_messages,
        parts=settings.max_parts,
        tools=settings.max_tools,
        stop_sequences=settings.max_stop_sequences,
        stop_sequence_characters=settings.max_stop_sequence_characters,
        json_values=settings.max_json_values,
        json_depth=settings.max_json_depth,
        text_bytes=settings.max_text_bytes,
    )
    return Bodies(settings.max_body_bytes, budget_bytes=settings.body_budget_bytes, limits=limits)


def endpoint_table(settings: Settings) -> Table:
    """The endpoints as the settings want them."""
    return Table(
        settings.api_endpoint, settings.binding, settings.origin, settings.endpoints, settings.endpoint_addresses
    )


def timeouts(settings: Settings) -> Timeouts:
    """How long the service may take."""
    return Timeouts(
        settings.connect_timeout_seconds,
        settings.first_event_timeout_seconds,
        settings.silence_timeout_seconds,
        settings.total_timeout_seconds,
    )
