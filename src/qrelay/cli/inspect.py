"""`qrelay settings` and `qrelay health`: what is set, and whether the server is well. They change nothing."""

import http.client
from urllib.parse import urlsplit

from qrelay import home
from qrelay.cli.outcome import Failed
from qrelay.cli.printing import say
from qrelay.cli.tables import show_json
from qrelay.control_characters import escape_controls
from qrelay.settings import Settings


def show_settings(chosen: Settings, *, as_json: bool) -> None:
    """Print a line for each setting: name, value, where it came from."""
    if as_json:
        named = [row._asdict() | {"source": str(row.source or "default")} for row in chosen.sources()]
        show_json(named)
        return
    rows = [(row.name, row.value, str(row.source or "default")) for row in chosen.sources()]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        say(f"{name:<{name_width}}  {value:<{value_width}}  {source}")


def show_health(chosen: Settings, url: str | None, *, as_json: bool) -> None:
    """Print what the running server's readiness probe says. Raises Failed when it isn't ready or isn't there."""
    server = home.running(chosen.home)
    address = url or (server.url if server else None) or f"http://{chosen.host}:{chosen.port}"
    parts = urlsplit(address)
    if parts.scheme != "http" or not parts.hostname:
        raise Failed(f"{address} is not an address such as http://127.0.0.1:8000.")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"Nothing answers on {address}.", "Start it with: qrelay serve") from error
    finally:
        connection.close()
    if as_json:
        say(escape_controls(said))
    if answer.status != http.client.OK:
        raise Failed(f"The server on {address} is not ready ({answer.status}): {said}")
    if not as_json:
        say(f"The server on {address} is ready: {said}")
