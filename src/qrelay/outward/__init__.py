"""How calls leave this machine. Not what is called.

http1, exchange     connections that are kept, and what goes over one
proxy               an HTTP proxy on the way; here: which calls take one
public              which addresses are anybody's
"""

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from qrelay import __version__

USER_AGENT: Final = f"qrelay/{__version__}"
"""Who calls: every call outwards says it."""

ProxyFor: TypeAlias = Callable[[str], str | None]
"""The proxy that a call to this address goes through, None for none."""


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
