"""`qrelay simulate`: the simulated service alone, on a port of its own, for tests and for trying things."""

from qrelay import logs
from qrelay.cli.loop import run_loop
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import print_line
from qrelay.cli.server import until_signal
from qrelay.settings import Settings
from qrelay.simulator.server import Simulator


def simulate(chosen: Settings, host: str, port: int) -> None:
    """Serve until Ctrl-C. Raises Failed."""
    logs.set_up(chosen.log_level, chosen.log_format)
    logs.log_uncaught()
    run_loop(_live(host, port))


async def _live(host: str, port: int) -> None:
    try:
        async with Simulator.serve(host, port) as simulator:
            login = simulator.add_account("simulated")
            print_line(f"""The simulated service is on {simulator.url} (Ctrl-C ends it). It is steered under /_sim/.

A gateway on it, with an account it knows:
  AMAZONQ_API_ENDPOINT={simulator.url} AMAZONQ_TOKEN_ENDPOINT={simulator.url}/token \\
  AMAZONQ_CLIENT_ID={login.client_id} AMAZONQ_CLIENT_SECRET={login.client_secret} \\
  AMAZONQ_REFRESH_TOKEN={login.refresh_token} \\
  QRELAY_HOME=$(mktemp -d) qrelay serve""")
            await until_signal()
    except OSError as error:
        raise Failed(
            f"The simulated service can't listen on {host}, port {port}: {error.strerror}.",
            "Choose another port: --port 9101",
        ) from error
