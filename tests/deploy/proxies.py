"""Real proxies in front of a gateway: nginx and Caddy, each a process of its own on a free port of loopback.

    async with nginx_before(gateway_url, NGINX_SITE) as proxy:
        await proxy.http.get("/v1/models")                 # an HTTP client whose base URL is the proxy
        reader, writer = await proxy.connect()             # a plain connection, for bytes no client would send

Mark tests with `needs_nginx` or `needs_caddy`: they are skipped where the program is missing.
"""

import asyncio
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.abc
import httpx
import pytest

from tests.deploy.dockerfile import read
from tests.house.repository import ROOT

_PLACES: Final = [
    os.environ.get("PATH", os.defpath),
    "/usr/sbin",
    str(ROOT / ".venv/nginx/usr/sbin"),  # where `make` unpacks them
    str(ROOT / ".venv/caddy/usr/bin"),
]
NGINX: Final = shutil.which("nginx", path=os.pathsep.join(_PLACES)) or ""
CADDY: Final = shutil.which("caddy", path=os.pathsep.join(_PLACES)) or ""

needs_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: nginx-light)")
needs_caddy = pytest.mark.skipif(not CADDY, reason="Caddy is not installed (Debian: caddy)")

NGINX_SITE: Final = read("deploy/nginx.conf")
"""The configuration in the guide."""

_PLAIN_CONNECTION: Final = 'proxy_set_header Connection "";'
assert NGINX_SITE.count(_PLAIN_CONNECTION) == 1
NGINX_WEBSOCKET_SITE: Final = (
    "map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n"
    + NGINX_SITE.replace(
        _PLAIN_CONNECTION,
        "proxy_set_header Upgrade $http_upgrade;\n    proxy_set_header Connection $connection_upgrade;",
    )
)
"""The same, with the lines that nginx's own documentation gives for WebSockets."""

NGINX_BARE_SITE: Final = "server {\n    listen 80;\n    location / { proxy_pass http://127.0.0.1:8000; }\n}\n"
"""nginx's defaults: HTTP/1.0 to the gateway, its address as the Host, a new connection for each request."""

CADDY_FILE: Final = read("deploy/Caddyfile")
"""The configuration in the guide."""

CADDY_BARE_FILE: Final = "qrelay.example.com {\n    reverse_proxy 127.0.0.1:8000\n}\n"
"""Caddy's defaults."""

_GATEWAY: Final = "127.0.0.1:8000"
_NAME: Final = "qrelay.example.com"


class Proxy(NamedTuple):
    """A running proxy: where it listens, and an HTTP client whose base URL it is."""

    http: httpx.AsyncClient
    host: str
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a plain connection to it."""
        return await asyncio.open_connection(self.host, self.port)


@contextmanager
def free_port() -> Generator[int]:
    """A port of 127.0.0.1 that nobody else is given during the block.

    It is bound and does not listen, so one program that sets SO_REUSEADDR (as all servers here do) can listen on it,
    also several times in turn.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def nginx_before(gateway: str | Sequence[str], site: str = NGINX_SITE) -> AsyncGenerator[Proxy]:
    """nginx with that site, in front of the gateway at that URL, or of several.

    The site names the gateway as 127.0.0.1:8000 and listens on port 80, as deploy/nginx.conf does.
    """
    with _folder("nginx-") as folder, free_port() as port:
        site, listens = re.subn(r"listen 80;", f"listen 127.0.0.1:{port};", site)
        assert listens == 1
        (folder / "site.conf").write_text(_with_servers(site, gateway))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{}}\n"
            f"http {{ access_log off;\n{folders}include {folder}/site.conf; }}\n"
        )
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        async with _running(command, port) as proxy:
            yield proxy


@asynccontextmanager
async def caddy_before(gateway: str | Sequence[str], caddyfile: str = CADDY_FILE) -> AsyncGenerator[Proxy]:
    """Caddy with that Caddyfile, in front of the gateway at that URL, or of several.

    The file names the gateway as 127.0.0.1:8000 and its site qrelay.example.com, as deploy/Caddyfile does. It is served
    without TLS here.
    """
    with _folder("caddy-") as folder, free_port() as port:
        caddyfile, sites = re.subn(
            rf"^{_NAME} {{$", f"http://:{port} {{\n    bind 127.0.0.1", caddyfile, flags=re.MULTILINE
        )
        assert sites == 1
        assert caddyfile.count(_GATEWAY) >= 1
        caddyfile = caddyfile.replace(_GATEWAY, " ".join(_addresses(gateway)))
        ours = "    admin off\n    log {\n        output discard\n    }\n"
        caddyfile, blocks = re.subn(r"^{$", "{\n" + ours, caddyfile, count=1, flags=re.MULTILINE)
        if not blocks:
            caddyfile = f"{{\n{ours}}}\n{caddyfile}"
        (folder / "Caddyfile").write_text(caddyfile)
        places = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        command = [CADDY, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        async with _running(command, port, places) as proxy:
            yield proxy


def _addresses(gateway: str | Sequence[str]) -> list[str]:
    return [urlsplit(url).netloc for url in ([gateway] if isinstance(gateway, str) else gateway)]


def _with_servers(site: str, gateway: str | Sequence[str]) -> str:
    """The site with one `server` line for each gateway, parameters and all; or with the address in `proxy_pass`."""

    def lines(found: re.Match[str]) -> str:
        return "".join(f"{found[1]}{address}{found[2]}" for address in _addresses(gateway))

    site, servers = re.subn(rf"^( *server ){re.escape(_GATEWAY)}(.*;\n)", lines, site, flags=re.MULTILINE)
    if not servers:
        (address,) = _addresses(gateway)
        assert site.count(f"http://{_GATEWAY}") == 1
        site = site.replace(_GATEWAY, address)
    return site


@contextmanager
def _folder(prefix: str) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield Path(name)


@asynccontextmanager
async def _running(
    command: Sequence[str], port: int, variables: Mapping[str, str] | None = None
) -> AsyncGenerator[Proxy]:
    """Run the proxy for the length of a block, which begins when it accepts connections."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), **(variables or {})}
    process = await anyio.open_process(command, stdout=None, stderr=None, env=environment)
    try:
        with anyio.fail_after(30):
            await _until_it_listens(process, port)
        headers = {"host": _NAME}
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=False) as client:
            yield Proxy(client, "127.0.0.1", port)
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _until_it_listens(process: anyio.abc.Process, port: int) -> None:
    while True:
        assert process.returncode is None, "the proxy has ended; its standard error says why"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
