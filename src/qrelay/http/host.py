"""The host in a Host field or an Origin, read strictly: what is not exactly `host[:port]` is no host.

    localhost:8000  gateway.example  10.0.0.1  [::1]:8000        a host
    me@127.0.0.1  127.0.0.1#x  127.0.0.1/x  127.1  0x7f.1        not one

Programs along the way read the second kind differently, so it could name this machine for one and not for another.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.types import Scope

from qrelay.errors import ErrorCode, RelayError

_LONGEST: Final = 300
"""Bytes; a domain name has at most 253."""
_PORT: Final = r"(?::([1-9][0-9]{0,4}))?"
_NAME: Final = re.compile(rf"((?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?){_PORT}")
_IPV6: Final = re.compile(rf"\[([0-9a-f:.]+)\]{_PORT}")
_ENDS_IN_NUMBER: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$")
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Host(NamedTuple):
    """A host name in lower case, or an address without brackets; and its port, None if it isn't given."""

    name: str
    port: int | None
    loopback: bool
    """It is `localhost`, an address in 127.0.0.0/8 or ::1. No other name is, whatever it resolves to."""


@lru_cache(maxsize=256)
def _parse(text: str) -> Host | None:
    text = text.lower()
    ipv6 = _IPV6.fullmatch(text)
    found = ipv6 or _NAME.fullmatch(text)
    if found is None:
        return None
    name, port = found[1], int(found[2]) if found[2] else None
    if port is not None and port > 65535:
        return None
    try:
        if ipv6:
            return Host(name, port, ipaddress.IPv6Address(name) == ipaddress.IPv6Address("::1"))
        if _ENDS_IN_NUMBER.search(name):
            return Host(name, port, ipaddress.IPv4Address(name).is_loopback)
    except ValueError:
        return None
    return Host(name, port, name == "localhost")


def parse_host(text: str) -> Host | None:
    """Read `host[:port]`; None if it is anything else."""
    return _parse(text) if len(text) <= _LONGEST and text.isascii() else None


class Origin(NamedTuple):
    """The origin of a browser page."""

    scheme: str
    host: Host

    def is_at(self, host: Host) -> bool:
        """Return whether pages of this origin come from `host`, the Host field of a request."""
        default = _DEFAULT_PORTS.get(self.scheme)
        ours, theirs = ((each.port or default) for each in (host, self.host))
        return default is not None and self.host.name == host.name and ours == theirs


def parse_origin(text: str) -> Origin | None:
    """Read `scheme://host[:port]`; None if it is anything else, such as `null`."""
    found = _ORIGIN.fullmatch(text) if len(text) <= _LONGEST else None
    host = parse_host(found[2]) if found else None
    return Origin(found[1].lower(), host) if found and host else None


def check_host(scope: Scope) -> None:
    """Raise RelayError(request_invalid) unless the request names exactly one host (RFC 9112 §3.2).

    HTTP/1.0 has no Host field, and the probes of some load balancers speak it: there it may be missing.
    """
    values = [value for name, value in scope["headers"] if name == b"host"]
    if len(values) == 1:
        text = values[0].decode("latin-1").strip(" \t")
        if parse_host(text) is None:
            raise _invalid(f"The Host field {text[:100]!r} is not a host name or address, with or without a port.")
    elif values:
        raise _invalid(f"The request has {len(values)} Host fields.")
    elif scope.get("http_version") != "1.0":
        raise _invalid("The request has no Host field.")


def _invalid(message: str) -> RelayError:
    remedy = "Send one 'Host: name' or 'Host: name:port', as it is in the URL."
    return RelayError(ErrorCode.request_invalid, message, remedy=remedy, param="host")
