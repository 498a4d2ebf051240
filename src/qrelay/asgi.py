"""The gateway for other ASGI servers: `uvicorn qrelay.asgi:app`.

Settings come from the environment and `.env`, as for `qrelay serve`. What only `serve` does is left to the server's
operator: it checks the address, limits connections, drains on SIGTERM and listens on the private socket.
"""

from qrelay.http.app import build_app
from qrelay.settings import Settings

app = build_app(Settings.load())
