"""`qrelay serve`: the gateway on real accounts, on an address it may listen on."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from qrelay import __version__, failpoints, logs, settings
from qrelay.cli.listening import listening, local_url, url_of
from qrelay.cli.loop import run_loop
from qrelay.cli.malloc import limit_memory
from qrelay.cli.printing import print_line
from qrelay.cli.private_socket import private_socket
from qrelay.cli.server import Drain, serve_app
from qrelay.home import open_home, share_home
from qrelay.http.app import build_app
from qrelay.keys import any_stored
from qrelay.settings import Settings, SettingsRefused

_PUBLISHED = frozenset(
    {"admin", "admin123", "changeme", "123456", "12345678", "password", "my-super-secret-password-123"}
)
"""What other gateways come with, and so what is tried first by those who look for them."""
_FRESH = "$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"


def serve(chosen: Settings) -> None:
    """Serve until Ctrl-C. Raises SettingsRefused, HomeUnusable, Failed, RelayError."""
    check_doors(chosen, key_is_stored=not (chosen.on_loopback or chosen.api_keys) and _has_key(chosen))
    logs.set_up(chosen.log_level, chosen.log_format, chosen.secrets())
    logs.log_uncaught()
    _warn(chosen)
    limit_memory()
    if chosen.testing:
        failpoints.arm(chosen.failpoint or "")
    with ExitStack() as stack:
        # Where processes share a database there may be any number of them, and commands open it themselves.
        home = stack.enter_context(open_home(chosen.home)) if chosen.database_path is not None else None
        share_home(chosen.home)
        sockets = stack.enter_context(listening(chosen.host, chosen.port))
        private = stack.enter_context(private_socket(home.path)) if home is not None else None

        def ready() -> None:
            if home is not None:
                home.announce(local_url(sockets[0]), private.path if private else None)
            print_line(ready_line(chosen, sockets[0]))
            if chosen.console:
                print_line(f"The console, in your browser: {local_url(sockets[0])}/")
            if not app.has_account:
                print_line("No account is stored yet. Add one: qrelay login")

        app = build_app(chosen, folder=Path.cwd())
        drain = Drain(app.leaving, chosen.drain_seconds, chosen.shutdown_seconds)
        listener = private.listener if private else None
        run_loop(serve_app(app, sockets, ready, listener, drain, table=app.connections))


def ready_line(chosen: Settings, listener: socket.socket) -> str:
    """What is printed when requests are answered."""
    return f"qrelay {__version__} serves on {url_of(chosen.host, listener)} (Ctrl-C ends it)"


def check_doors(chosen: Settings, *, key_is_stored: bool = False) -> None:
    """Refuse to be reachable from other machines while nobody could, or anybody could, use it (SettingsRefused).

    A key that was made here is as good as one of the settings; a secret that is known to all is as good as none.
    """
    if chosen.on_loopback:
        return
    given = {"QRELAY_ADMIN_SECRET": (chosen.admin_secret,), "QRELAY_API_KEYS": chosen.api_keys}
    for name, held in given.items():
        if any(one is not None and one.get_secret_value().lower() in _PUBLISHED for one in held):
            raise SettingsRefused(
                f"{name} is a word that is tried first by everybody who looks for gateways such as this one. Set "
                "another one and start again:",
                f"export {name}={_FRESH}",
            )
    missing = {
        "a client key": None if chosen.api_keys or key_is_stored else f"export QRELAY_API_KEYS={_FRESH}",
        "an admin secret": None if chosen.admin_secret else f"export QRELAY_ADMIN_SECRET={_FRESH}",
    }
    commands = {what: command for what, command in missing.items() if command}
    if commands:
        raise SettingsRefused(
            f"Listening on {chosen.host} without {' and '.join(commands)} would let everybody who can reach this "
            "machine use its accounts. Set what is missing and start again:",
            *commands.values(),
        )


def _has_key(chosen: Settings) -> bool:
    """Whether a client key was made here. Raises RelayError when the database can't be read."""
    found = False

    async def look() -> None:
        nonlocal found
        found = await any_stored(chosen.database_address)

    if chosen.database_path is None or chosen.database_path.is_file():
        run_loop(look())
    return found


def _warn(chosen: Settings) -> None:
    log = structlog.get_logger()
    for name in settings.unknown(os.environ):
        log.warning("this variable is not a setting and has no effect", variable=name)
    for found in chosen.idle():
        log.warning("this setting of an older gateway has no effect", setting=str(found))
    if not chosen.verify_oidc_tls:
        log.warning(
            "THE TOKEN SERVICE'S CERTIFICATE IS NOT CHECKED: whoever is between here and there can take every token",
            remedy="Unset DISABLE_AMAZONQ_SSL_VERIFY, or name your certificates in QRELAY_CA_BUNDLE.",
        )
    for endpoint in (chosen.api_endpoint, chosen.token_endpoint):
        parts = urlsplit(endpoint or "")
        if parts.scheme == "http" and not settings.is_loopback(parts.hostname or ""):
            log.warning("tokens go to this address without encryption", address=endpoint)
