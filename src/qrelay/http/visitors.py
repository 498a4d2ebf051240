"""Whose address a request counts for: the sender's own, or behind a trusted proxy the one that the proxy names. Pure.

    X-Forwarded-For: 198.51.100.7, 203.0.113.9            Forwarded: for=198.51.100.7, for="[2001:db8::9]:4711"
                     anybody's word <── nearer to us      (RFC 7239)

Each proxy adds who came to it at the end, so the list is read from there: past trusted proxies, up to the first address
that isn't one. Everything before it is what that visitor wrote. It is for counting wrong secrets by place and for the
audit log, and for nothing else: no door opens by a header (`doors`).
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from starlette.types import Scope

from qrelay.http.asked import header, peer_of

_LONGEST: Final = 4096
_MOST_HOPS: Final = 32
_HOPS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)\s*(?:;|$)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\w+)?|([\d.]+):\w+")

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Visitors:
    """`trusted` are addresses and networks of proxies; without any, everybody is who they seem to be."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted]

    def address(self, scope: Scope) -> str | None:
        """Who it is; None for the owner's socket. What can't be understood is the nearest proxy's own."""
        peer = peer_of(scope)
        nearest = None if peer is None or not self._trusted else _address(peer)
        if nearest is None or not self._trusts(nearest):
            return peer
        named = [
            self._visitor(nearest, hops)
            for hops in (_forwarded_for(header(scope, b"x-forwarded-for")), _forwarded(header(scope, b"forwarded")))
            if hops
        ]
        # A proxy that writes one of the two may let the other one pass as a visitor has written it.
        return str(named[0] if len(set(named)) == 1 else nearest)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _visitor(self, nearest: Address, hops: list[str]) -> Address:
        found = nearest
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = _address(hop)
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return found


def _forwarded_for(value: str) -> list[str]:
    return [hop.strip() for hop in value[-_LONGEST:].split(",")] if value else []


def _forwarded(value: str) -> list[str]:
    hops = _HOPS.findall(value[-_LONGEST:])
    return [found[1].strip('"') if (found := _FOR.search(hop)) else "" for hop in hops]


def _address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; None for anything else."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
