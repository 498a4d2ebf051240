"""`qrelay demo`: the gateway in front of the simulated service, both in this process, on a state that ends with it.

Not a test and not a mode: the gateway is the one `serve` starts, its settings say where the service is. Nothing of the
user's accounts is read or written.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from qrelay import logs
from qrelay.cli import tour
from qrelay.cli.listening import listening, local_url
from qrelay.cli.loop import run_loop
from qrelay.cli.printing import print_line
from qrelay.cli.serve import check_doors, ready_line
from qrelay.cli.server import serve_app
from qrelay.home import open_home
from qrelay.http.app import build_app
from qrelay.settings import Settings
from qrelay.simulator.server import Simulator
from qrelay.simulator.service import Login

_WORD_DELAY = 0.02  # seconds: slow enough that a person sees words arrive


def demo(chosen: Settings) -> None:
    """Show it, then serve until Ctrl-C. Raises SettingsRefused, HomeUnusable, Failed, RelayError."""
    check_doors(chosen)
    # A line for each request would fall into the answers that are being shown.
    level = chosen.log_level if "log_level" in chosen.model_fields_set else "warning"
    logs.set_up(level, chosen.log_format, chosen.secrets())
    logs.log_uncaught()
    with tempfile.TemporaryDirectory(prefix="qrelay-demo-") as folder:
        run_loop(_live(chosen, Path(folder)))


async def _live(chosen: Settings, folder: Path) -> None:
    async with Simulator.serve(word_delay=_WORD_DELAY) as simulator:
        ours = _aside(chosen, folder, simulator.url, simulator.add_account("demo"))
        with open_home(ours.home) as home, listening(ours.host, ours.port) as sockets:
            url = local_url(sockets[0])
            touring: list[asyncio.Task[None]] = []

            def ready() -> None:
                home.announce(url)
                print_line(
                    "This is a demonstration: a simulated service answers in place of Amazon Q. None of your accounts\n"
                    f"is used, nothing leaves this machine, and the state in {folder} goes when it ends.\n"
                )
                print_line(ready_line(ours, sockets[0]))
                touring.append(asyncio.create_task(tour.show(url, ours.api_keys, console=ours.console)))

            try:
                app = build_app(ours)
                await serve_app(app, sockets, ready, table=app.connections)
            finally:
                for task in touring:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task


def _aside(chosen: Settings, folder: Path, service: str, login: Login) -> Settings:
    """The same settings, with everything that is the user's replaced: state, keys at rest, account and service."""
    return chosen.replaced(
        "qrelay demo",
        {
            "home": folder,
            "database_url": None,
            "master_key": None,
            "master_key_file": None,
            "api_endpoint": service,
            "token_endpoint": f"{service}/token",
            "proxy": None,
            "amazonq_refresh_token": SecretStr(login.refresh_token),
            "amazonq_client_id": login.client_id,
            "amazonq_client_secret": SecretStr(login.client_secret),
            "amazonq_profile_arn": login.account.profile_arn,
        },
    )
