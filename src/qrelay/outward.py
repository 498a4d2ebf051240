"""How calls leave this machine: connections, the certificates they trust, a proxy on the way. Not what is called."""

import ipaddress
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp

from qrelay import __version__
from qrelay.trust import trusting

USER_AGENT: Final = f"qrelay/{__version__}"
"""Who calls: every call outwards says it."""

ProxyFor: TypeAlias = Callable[[str], str | None]
"""The proxy that a call to this address goes through, None for none."""


@asynccontextmanager
async def connections(trust: Path | None = None, *, verify: bool = True) -> AsyncGenerator[aiohttp.ClientSession]:
    """A pool of connections. How many at once is the accounts' business, not the transport's."""
    tls: ssl.SSLContext | bool = verify
    if verify and trust is not None:
        tls = trusting(trust)
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=tls)
    headers = {"user-agent": USER_AGENT}
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=headers
    ) as session:
        yield session


def proxy_for(proxy: str | None, exempt: Sequence[str]) -> ProxyFor:
    """Every call goes through `proxy`, loopback too, but those to a host that `exempt` (NO_PROXY) names.

    An entry is a host, which stands for its subdomains too (`example.com`, `.example.com`, `*.example.com`), with a
    port if only that one is meant; an address; a network (`10.0.0.0/8`); or `*`, which is everything.
    """
    if proxy is None:
        return lambda _url: None

    @lru_cache(maxsize=256)
    def decided(scheme: str, place: str) -> str | None:
        parts = urlsplit(f"{scheme}://{place}")
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or (443 if scheme == "https" else 80)
        return None if any(_exempts(entry.strip().lower(), host, port) for entry in exempt) else proxy

    def decide(url: str) -> str | None:
        parts = urlsplit(url)
        return decided(parts.scheme, parts.netloc)

    return decide


def _exempts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of them is a name, or has a port
    name, _, wanted = entry.rpartition(":") if entry.rpartition(":")[2].isdigit() else (entry, "", "")
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    if not name or (wanted and int(wanted) != port):
        return False
    return host == name or host.endswith(f".{name}")
