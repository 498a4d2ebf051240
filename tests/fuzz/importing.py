"""Importers: any file gives accounts that can be stored, or a refusal that names the file."""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec

from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing import amq2api, aq2api, cli, documents, q2api, sent, sso_cache
from qrelay.accounts.importing.files import Reading
from qrelay.errors import RelayError
from tests.fuzz.mutation import after_number, json_mutator
from tests.fuzz.target import Target, numbered, split

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_ONE = {
    "refreshToken": "r", "accessToken": "a", "clientId": "c", "clientSecret": "s", "label": "L", "region": "eu-west-1",
    "expiresAt": "2026-01-02T03:04:05.123456789Z", "clientSecretExpiresAt": 1796083200000, "kind": "builder_id",
    "startUrl": "https://d-1.awsapps.com/start", "profileArn": "arn:aws:x:y:1:profile/P", "enabled": 1,
    "other": {"token_endpoint": "https://t.example"}, "userId": "u", "is_active": True,
}  # fmt: skip
_SNAKE = {"refresh_token": "r", "access_token": "a", "client_id": "c", "client_secret": "s", "expires_at": 1796083200.5}


def seeds() -> Iterator[bytes]:
    for number in (0, 1):
        for document in (_ONE, [_ONE, _SNAKE], {"accounts": [_SNAKE]}, {"apiKey": "ksk_x", "authMethod": "API_KEY"}):
            yield numbered(number, json.dumps(document).encode())
        yield numbered(number, json.dumps(_ONE).encode() + b"\n" + json.dumps(_SNAKE).encode())
    yield numbered(1, b'{"qrelay_export":1,"sealed":"eA=="}')
    yield numbered(2, json.dumps([_SNAKE]).encode())
    yield numbered(3, json.dumps(_SNAKE).encode())
    kiro = {"accessToken": "a", "refreshToken": "r", "authMethod": "social", "provider": "Google", "expiresAt": "x"}
    yield numbered(4, json.dumps(kiro | {"profileArn": "arn"}).encode())
    yield numbered(
        4, json.dumps(kiro | {"clientIdHash": "beside", "authMethod": "IdC", "region": "us-east-1"}).encode()
    )
    yield numbered(5, json.dumps(_ONE | {"scopes": ["codewhisperer:completions"]}).encode())
    token: dict[str, Any] = {
        **_SNAKE,
        "expires_at": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "start_url": None,
        "scopes": [],
    }
    keys: dict[str, Any] = {
        "kirocli:odic:token": token, "kirocli:odic:device-registration": {"client_id": "c", "client_secret": "s"},
        "kirocli:social:token": {**_SNAKE, "provider": "github", "profile_arn": "arn"},
        "kirocli:external-idp:token": {**_SNAKE, "token_endpoint": "https://t.example"},
        "state:auth.idc.region": "eu-west-1", "state:api.codewhisperer.profile": {"arn": "arn"},
    }  # fmt: skip
    yield numbered(6, json.dumps(keys).encode())
    yield numbered(7, json.dumps(_ONE).encode())
    for number in (8, 9):
        yield numbered(number, _database(keys, {}))
        yield numbered(number, _database({}, _ONE))


def check(data: bytes) -> None:
    number, raw = split(data, len(_READERS))
    try:
        reading = _READERS[number](raw)
    except RelayError as error:
        error.message.encode()
        return
    for sentence in reading.skipped:
        sentence.encode()
    for account in reading.accounts:
        _storable(account)


def _storable(account: NewAccount) -> None:
    """Every value is one that either database takes."""
    for value in msgspec.structs.asdict(account).values():
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        assert not isinstance(value, float) or 0 < value < 1e12


def _database(keys: dict[str, Any], row: dict[str, Any]) -> bytes:
    """A small SQLite file with the tables of either program."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA page_size = 512")
        if keys:
            connection.execute("CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)")
            connection.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB)")
            for key, value in keys.items():
                text = value if isinstance(value, str) else json.dumps(value)
                table, name = ("state", key[6:]) if key.startswith("state:") else ("auth_kv", key)
                connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (_bindable(name), _bindable(text)))
        if row:
            columns = [_quoted(name) for name in row]
            values = [
                held if isinstance(held, int | float | str) or held is None else json.dumps(held)
                for held in row.values()
            ]
            values = [_bindable(held) for held in values]
            connection.execute(f"CREATE TABLE accounts (id, {', '.join(columns)})")
            marks = ", ".join("?" * (1 + len(values)))
            connection.execute(f"INSERT INTO accounts VALUES ({marks})", ["id", *values])
        connection.commit()
        return connection.serialize()


def _quoted(name: str) -> str:
    plain = "".join(letter for letter in name if letter.isprintable()).replace('"', "")
    return f'"{plain or "x"}"'


def _bindable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return value if not isinstance(value, int) or -(2**63) <= value < 2**63 else float(value % 2**100)


def _with_file(
    read: Callable[[Path], Reading], name: str, beside: dict[str, bytes] | None = None
) -> Callable[[bytes], Reading]:
    def reading(raw: bytes) -> Reading:
        with tempfile.TemporaryDirectory(prefix="qrelay-fuzz-", dir=MEMORY) as folder:
            for other, content in (beside or {}).items():
                (Path(folder) / other).write_bytes(content)
            (Path(folder) / name).write_bytes(raw)
            return read(Path(folder) / name)

    return reading


def _object(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _rows(raw: bytes) -> Reading:
    document = _object(raw)
    try:
        return sent.read(_database(document, {}), "kiro.sqlite3")
    except sqlite3.Error:
        return Reading([])


def _row(raw: bytes) -> Reading:
    try:
        content = _database({}, _object(raw))
    except sqlite3.Error:  # two columns of one name
        return Reading([])
    return sent.read(content, "data.sqlite3")


def _either(path: Path) -> Reading:
    try:
        return q2api.read(path)
    except RelayError:
        return cli.read(path, label="CLI")


_CLIENT = json.dumps({"clientId": "c", "clientSecret": "s", "expiresAt": "2026-01-02T03:04:05Z"}).encode()
_READERS: tuple[Callable[[bytes], Reading], ...] = (
    lambda raw: documents.parse(raw, Path("file.json")),
    lambda raw: sent.read(raw, "file.json"),
    _with_file(amq2api.read, "account.json"),
    _with_file(aq2api.read, "amazonq_credentials.json"),
    _with_file(sso_cache.read_kiro, sso_cache.KIRO_FILE, {"beside.json": _CLIENT}),
    _with_file(
        lambda path: sso_cache.read_toolkits(path.parent),
        "x.json",
        {"aws-toolkit-vscode-client-id-eu-west-1.json": _CLIENT},
    ),
    _rows,
    _row,
    lambda raw: sent.read(raw, "data.sqlite3"),
    _with_file(_either, "data.sqlite3"),
)

TARGET = Target("importing", seeds, check, after_number(json_mutator))
