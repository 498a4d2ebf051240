"""Which addresses are anybody's: calls to a URL that a stranger wrote may go nowhere else.

    public_addresses(host, port)     looks a name up, once; every address it has must be public

The connection is then made to one of those addresses and not to the name, which may mean another a moment later. What
is asked of the text of a URL (`127.0.0.1`, `2130706433`, `0x7f.1`, `localhost`, `[::ffff:7f00:1]`) is asked of the
address it leads to.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address
_LOCAL_TRANSLATED: Final = IPv6Network("64:ff9b:1::/48")
_TUNNELS: Final = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))  # 6to4 and Teredo hold an IPv4 address as well
_PLATFORM: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))  # Azure's and Oracle's, for guests


class NotPublicError(OSError):
    """The name leads to this machine or a network of somebody's own."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is anybody's: routed in the whole Internet, for one host, and not another one in disguise."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _TRANSLATED:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address in _LOCAL_TRANSLATED or any(address in tunnel for tunnel in _TUNNELS) or address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or any(address in network for network in _PLATFORM)
    )


async def public_addresses(host: str, port: int) -> list[str]:
    """Where `host` is. Raises NotPublicError if that is no place for strangers' calls, OSError for no such host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]).partition("%")[0] for info in found]
    if not addresses or not all(is_public(ip_address(address)) for address in addresses):
        raise NotPublicError(None, "it is not at a public address")
    return list(dict.fromkeys(addresses))
