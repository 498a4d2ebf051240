"""What a setting's value may look like, as types that check it and bring it into one form.

A refusal is a ValueError that ends the sentence "X can't be used: …". Not here: the settings themselves, and anything
that acts on a value.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from qrelay import failpoints
from qrelay.trust import trusting


def _split(value: object) -> object:
    """Comma-separated text to its parts, blanks dropped; anything else is left to pydantic."""
    return tuple(part for item in value.split(",") if (part := item.strip())) if isinstance(value, str) else value


_NO_WEB_ADDRESS = "it should be an address such as https://host or http://127.0.0.1:9100"


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(_NO_WEB_ADDRESS) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(_NO_WEB_ADDRESS)
    if not value.isprintable() or " " in value:
        raise ValueError(_NO_WEB_ADDRESS)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("it should be an address without user, query or fragment")
    return value.rstrip("/")


def _proxy_address(value: object) -> object:
    """`host:port` is what many write; the service is told nothing of a user and password in it."""
    if not isinstance(value, str):
        return value
    address = value.strip() if "://" in value else f"http://{value.strip()}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.path in {"", "/"} and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("it should be an http proxy such as http://127.0.0.1:3128 (no other kind is supported)")
    return address.rstrip("/")


def _certificates(value: Path) -> Path:
    try:
        trusting(value)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"no certificates can be read there ({error.strerror or type(error).__name__})") from None
    return value


def _aliases(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(not part.strip() for pair in value for part in pair.partition("=")):
        raise ValueError("it should be name=model pairs, separated by commas")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            everybody = ipaddress.ip_network(each, strict=False).prefixlen == 0
        except ValueError:
            everybody = True
        if everybody:
            raise ValueError("it should be addresses or networks, such as 127.0.0.1 or 10.0.0.0/8, and not everybody")
    return value


def _endpoint_urls(value: tuple[str, ...]) -> tuple[str, ...]:
    for pair in value:
        name, _, url = pair.partition("=")
        if name.strip() not in {"q", "kiro", "kiro-management"} or not url:
            raise ValueError("it should be name=address pairs, separated by commas; names are q, kiro, kiro-management")
        _web_address(url.replace("{region}", "us-east-1"))
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s*]+/?", origin):
            raise ValueError(
                "it should be origins such as https://chat.example or http://localhost:3000, separated by commas, each "
                "of them named"
            )
    return value


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("it should be printable ASCII, such as 2023-06-01")
    return value


def _database_address(value: str) -> str:
    """Drivers are chosen here, and `postgres://` is what some hosts of databases hand out."""
    if postgresql := re.match(r"postgres(?:ql)?(?:\+\w+)?://", value):
        try:
            urlsplit(value)
        except ValueError:
            raise ValueError("it can't be read; what is unusual in a password is written as in %40 for @") from None
        return f"postgresql://{value[postgresql.end() :]}"
    if not value.startswith("sqlite:///") or not value.removeprefix("sqlite:///"):
        raise ValueError(
            "it should be sqlite:/// and the path of a file (four slashes for an absolute path), "
            "or postgresql://user:password@host/database"
        )
    folder(Path(unquote(value.removeprefix("sqlite:///"))))
    return value


def _failpoint(value: str) -> str:
    failpoints.read(value)
    return value


def folder(value: Path) -> Path:
    """Return the absolute path, with `~` resolved. Raises ValueError."""
    if "\0" in str(value):
        raise ValueError("it should be a path, and no path has a NUL character")
    try:
        return value.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"the home folder of {value.parts[0]} is not known") from None


Words: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_split)]
Secrets: TypeAlias = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]
Networks: TypeAlias = Annotated[Words, AfterValidator(_networks)]
Origins: TypeAlias = Annotated[Words, AfterValidator(_origins)]
Aliases: TypeAlias = Annotated[Words, AfterValidator(_aliases)]
EndpointNames: TypeAlias = Annotated[tuple[Literal["q", "q+arn", "kiro", "kiro+arn"], ...], BeforeValidator(_split)]
EndpointUrls: TypeAlias = Annotated[Words, AfterValidator(_endpoint_urls)]
HeaderValue: TypeAlias = Annotated[str, AfterValidator(_header_value)]
DatabaseAddress: TypeAlias = Annotated[str, AfterValidator(_database_address)]
WebAddress: TypeAlias = Annotated[str, AfterValidator(_web_address)]
ProxyAddress: TypeAlias = Annotated[str, BeforeValidator(_proxy_address)]
Location: TypeAlias = Annotated[Path, AfterValidator(folder)]
Certificates: TypeAlias = Annotated[Location, AfterValidator(_certificates)]
Failpoint: TypeAlias = Annotated[str, AfterValidator(_failpoint)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
