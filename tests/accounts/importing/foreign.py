"""What other programs leave on a machine, as they write it (SWITCHING.md; PROTOCOL.md §7). All of it is made up."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

SCOPES = ["codewhisperer:completions", "codewhisperer:analysis", "codewhisperer:conversations"]
ORGANISATION = "https://d-1234567890.awsapps.com/start"
PROFILE = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/ABCDEFGHIJKL"
_FIRST = (
    "id TEXT PRIMARY KEY, label TEXT, clientId TEXT, clientSecret TEXT, refreshToken TEXT, accessToken TEXT, "
    "other TEXT, last_refresh_time TEXT, last_refresh_status TEXT, created_at TEXT, updated_at TEXT, enabled INTEGER"
)
_SECOND = f"{_FIRST}, error_count INTEGER DEFAULT 0, success_count INTEGER DEFAULT 0"


def canary(what: str) -> str:
    """A secret that is told from every other text."""
    return f"canary-{what}-{hashlib.sha256(what.encode()).hexdigest()}"


def q2api(path: Path, names: Sequence[str] = ("one", "two"), *, counters: bool = True, **more: Any) -> Path:
    """q2api's database in its second schema, or in its first; the last account is switched off."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE accounts ({_SECOND if counters else _FIRST})")
        for name in names:
            row: dict[str, Any] = {
                "id": f"id-{name}",
                "label": name,
                "clientId": f"client-{name}",
                "clientSecret": canary(f"secret-{name}"),
                "refreshToken": canary(f"refresh-{name}"),
                "accessToken": canary(f"access-{name}"),
                "other": json.dumps({"note": name}),
                "last_refresh_time": "2025-10-01T10:00:00",
                "last_refresh_status": "success",
                "created_at": "2025-09-01T10:00:00",
                "updated_at": "2025-10-01T10:00:00",
                "enabled": int(name != names[-1]),
                **more,
            }
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO accounts ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        connection.commit()
    return path


def amq2api(path: Path, name: str = "work") -> Path:
    account = {
        "id": f"id-{name}",
        "name": name,
        "is_active": True,
        "refresh_token": canary(f"refresh-{name}"),
        "client_id": f"client-{name}",
        "client_secret": canary(f"secret-{name}"),
        "profile_arn": None,
        "created_at": "2025-09-01T10:00:00",
        "last_refresh_time": None,
        "last_refresh_status": None,
    }
    path.write_text(json.dumps([account]))
    return path


def aq2api(path: Path, name: str = "only") -> Path:
    account = {
        "client_id": f"client-{name}",
        "client_secret": canary(f"secret-{name}"),
        "refresh_token": canary(f"refresh-{name}"),
        "profile_arn": PROFILE,
        "access_token": canary(f"access-{name}"),
        "expires_at": "2025-11-20T10:00:00+00:00",
    }
    path.write_text(json.dumps(account))
    return path


def cli(
    path: Path, auth: Mapping[str, Any], state: Mapping[str, Any] | None = None, *, journal: str = "DELETE"
) -> Path:
    """The database of Amazon Q CLI or Kiro CLI, with conversations nobody else should read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE migrations (id INTEGER PRIMARY KEY, version INTEGER)")
        connection.execute("CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB)")
        connection.execute("CREATE TABLE conversations (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO conversations VALUES ('/home/somebody', 'canary-conversation')")
        connection.executemany("INSERT INTO auth_kv VALUES (?, ?)", [(key, _json(held)) for key, held in auth.items()])
        connection.executemany(
            "INSERT INTO state VALUES (?, ?)", [(key, json.dumps(held).encode()) for key, held in (state or {}).items()]
        )
        connection.commit()
    path.chmod(0o600)
    return path


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def oidc(family: str, name: str, *, start_url: str | None = None, region: str = "us-east-1") -> dict[str, Any]:
    """A log-in by SSO OIDC and its registration; times with nine decimals, as Rust writes them."""
    return {
        f"{family}:odic:token": {
            "access_token": canary(f"access-{name}"),
            "expires_at": "2025-11-20T10:00:00.123456789Z",
            "refresh_token": canary(f"refresh-{name}"),
            "region": region,
            "start_url": start_url,
            "oauth_flow": "DeviceCode",
            "scopes": SCOPES,
        },
        f"{family}:odic:device-registration": {
            "client_id": f"client-{name}",
            "client_secret": canary(f"secret-{name}"),
            "client_secret_expires_at": "2026-02-20T10:00:00Z",
            "region": region,
            "oauth_flow": "DeviceCode",
            "scopes": SCOPES,
        },
    }


def social(name: str) -> dict[str, Any]:
    return {
        "kirocli:social:token": {
            "access_token": canary(f"access-{name}"),
            "refresh_token": canary(f"refresh-{name}"),
            "expires_at": "2025-11-20T10:00:00Z",
            "provider": "google",
            "profile_arn": PROFILE,
        }
    }


def external(name: str) -> dict[str, Any]:
    return {
        "kirocli:external-idp:token": {
            "access_token": canary(f"access-{name}"),
            "refresh_token": canary(f"refresh-{name}"),
            "expires_at": "2025-11-20T10:00:00Z",
            "token_endpoint": "https://login.example.org/oauth2/token",
            "client_id": f"client-{name}",
        }
    }


def kiro_ide(cache: Path, name: str = "ide", *, method: str = "IdC", **more: Any) -> Path:
    """Kiro IDE's log-in, and for IdC the registration it names."""
    cache.mkdir(parents=True, exist_ok=True)
    token: dict[str, Any] = {
        "accessToken": canary(f"access-{name}"),
        "refreshToken": canary(f"refresh-{name}"),
        "expiresAt": "2025-11-20T10:00:00.000Z",
        "authMethod": method,
    }
    if method == "IdC":
        hashed = hashlib.sha1(name.encode()).hexdigest()
        token |= {"provider": "Enterprise", "region": "eu-west-1", "clientIdHash": hashed}
        registration = {
            "clientId": f"client-{name}",
            "clientSecret": canary(f"secret-{name}"),
            "expiresAt": "2026-02-20T10:00:00.000Z",
        }
        (cache / f"{hashed}.json").write_text(json.dumps(registration))
    elif method == "social":
        token |= {"provider": "Google", "profileArn": PROFILE}
    path = cache / "kiro-auth-token.json"
    path.write_text(json.dumps(token | more))
    return path


def toolkit(cache: Path, name: str = "toolkit", **more: Any) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    token = {
        "accessToken": canary(f"access-{name}"),
        "refreshToken": canary(f"refresh-{name}"),
        "expiresAt": "2025-11-20T10:00:00.000Z",
        "region": "eu-central-1",
        "startUrl": ORGANISATION,
        "clientId": f"client-{name}",
        "clientSecret": canary(f"secret-{name}"),
        "registrationExpiresAt": "2026-02-20T10:00:00.000Z",
        "scopes": SCOPES,
    }
    path = cache / f"{hashlib.sha1(name.encode()).hexdigest()}.json"
    path.write_text(json.dumps(token | more))
    return path


def whole_machine(home: Path, folder: Path) -> int:
    """Every source at its usual place on Linux; how many accounts that is."""
    q2api(folder / "data.sqlite3")
    amq2api(folder / "account.json")
    aq2api(folder / "amazonq_credentials.json")
    share = home / ".local" / "share"
    organisation = oidc("codewhisperer", "seat", start_url=ORGANISATION, region="eu-central-1")
    cli(
        share / "amazon-q" / "data.sqlite3",
        organisation,
        {"api.codewhisperer.profile": {"arn": PROFILE, "profile_name": "team"}},
        journal="WAL",
    )
    cli(share / "kiro-cli" / "data.sqlite3", oidc("kirocli", "kiro") | social("google") | external("okta"))
    cache = home / ".aws" / "sso" / "cache"
    kiro_ide(cache)
    toolkit(cache)
    aws_cli = {"startUrl": ORGANISATION, "region": "us-east-1", "accessToken": "x", "refreshToken": "y"}
    (cache / "aws-cli.json").write_text(json.dumps(aws_cli | {"clientId": "c", "clientSecret": "s"}))
    return 2 + 1 + 1 + 1 + 3 + 1 + 1
