"""Settings: any environment, `.env` and `config.json` give settings or a refusal in one sentence."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from qrelay.http import from_settings
from qrelay.settings import PREFIX, Settings, SettingsRefused, names, unknown
from tests.fuzz.mutation import after_number, json_mutator
from tests.fuzz.target import Target, numbered, split

USUAL = {
    "host": "0.0.0.0", "port": "8001", "api_keys": "one-key, another-key", "admin_secret": "a-secret-of-twenty-chars",
    "allowed_hosts": "q.example", "trusted_proxies": "127.0.0.1,10.0.0.0/8", "cors_origins": "https://chat.example",
    "database_url": "postgresql://user:pass%40word@host:5432/name?sslpassword=x", "home": "~/q", "console": "false",
    "endpoint_urls": "q=https://q.{region}.example,kiro=http://127.0.0.1:9", "endpoints": "q,kiro",
    "proxy": "http://user:pass@127.0.0.1:3128", "no_proxy": "localhost,.example,10.0.0.0/8", "strategy": "random",
    "api_endpoint": "http://127.0.0.1:9100/", "token_endpoint": "http://127.0.0.1:9100/token",
    "model_aliases": "fast=claude-haiku-4.5", "remote_images": "allowlist", "remote_image_hosts": "a.example:8443",
    "log_level": "DEBUG", "log_format": "json", "anthropic_version": "2023-06-01", "master_key_file": "key",
    "failpoint": "refresh.before_commit:kill9", "ca_bundle": "certificates.pem",
}  # fmt: skip
"""Text for settings that take something other than a number or a switch."""
_IN_FILE = 3


def seeds() -> Iterator[bytes]:
    """One document for each setting under each of its names, and some for several."""
    number = 0
    for field in Settings.model_fields:
        value = USUAL.get(field, "1")
        for name in names(field):
            yield numbered(number, json.dumps({name: value}).encode())
            number = (number + 1) % _IN_FILE
    every = {PREFIX + field.upper(): value for field, value in USUAL.items() if field != "ca_bundle"}
    yield numbered(0, json.dumps(every).encode())
    yield numbered(1, json.dumps(every).encode())
    yield numbered(1, b"A=\"b\nc\"\nexport QRELAY_PORT=${PORT:-8}\n# no\nQRELAY_HOST='x'\nB")
    older = {
        "logging": {"level": "INFO", "log_requests": True, "max_log_length": 3},
        "performance": {"token_refresh_margin_seconds": 300, "buffer_max_size": 1},
        "ssl": {"verify_oidc": True, "ca_bundle": "x"},
    }
    yield numbered(2, json.dumps(older).encode())


def check(data: bytes) -> None:
    place, raw = split(data, _IN_FILE)
    with tempfile.TemporaryDirectory(prefix="qrelay-fuzz-", dir=_MEMORY) as folder:
        env_file = Path(folder) / ".env"
        environ: dict[str, str] = {}
        if place == 0:
            environ = _variables(raw)
        elif place == 1:
            env_file.write_bytes(_env_text(raw))
        else:
            (Path(folder) / "config.json").write_bytes(raw)
        try:
            settings = Settings.load(environ, env_file)
        except SettingsRefused:
            return
        unknown(environ)
        settings.idle()
        for sourced in settings.sources():
            assert "pass%40word" not in sourced.value
        settings.secrets()
        _ = settings.database_path, settings.database_address, settings.endpoint_addresses, settings.aliases
        _ = settings.on_loopback
        from_settings.timeouts(settings)
        from_settings.endpoint_table(settings)


def _document(raw: bytes) -> dict[str, str]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    members = cast("dict[str, Any]", document)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}


def _variables(raw: bytes) -> dict[str, str]:
    """Turn input into an environment: no NUL, names without `=`, bytes that are not UTF-8 as Python shows them."""
    variables: dict[str, str] = {}
    for name, value in _document(raw).items():
        told = os.fsdecode(value.encode("utf-8", "surrogatepass").replace(b"\0", b""))
        variables[name.replace("=", "").replace("\0", "")] = told
    return variables


def _env_text(raw: bytes) -> bytes:
    document = _document(raw)
    if not document:
        return raw
    lines = [f"{name}={value}" for name, value in document.items()]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Files that live for a millisecond need no disk."""

TARGET = Target("configuration", seeds, check, after_number(json_mutator))
