"""`~/.aws/sso/cache`: the log-ins of Kiro IDE (PROTOCOL.md §7.3) and of the AWS toolkits (§7.4).

The AWS CLI keeps log-ins there too, which are good for other things: only what has Amazon Q's scopes is taken.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qrelay.accounts.account import NewAccount
from qrelay.accounts.importing.documents import read_rows
from qrelay.accounts.importing.files import Reading, as_list, as_object, check_regular, read_json, unreadable
from qrelay.accounts.importing.shapes import text
from qrelay.errors import RelayError

KIRO_FILE: Final = "kiro-auth-token.json"
_HASH: Final = re.compile(r"[0-9A-Za-z_-]{1,128}")
_LARGEST: Final = 1 << 20
_MOST_FILES: Final = 1000
_SCOPE: Final = "codewhisperer:"


def read_kiro(path: Path) -> Reading:
    """Kiro IDE's log-in; `path` is its file or the folder. Raises RelayError."""
    path = path / KIRO_FILE if path.is_dir() else path
    fields = _object(path)
    if text(fields, "refreshToken", "accessToken") is None:
        raise unreadable(f"{path} is not Kiro IDE's: it holds no token.")
    fields = {**fields}
    if (name := text(fields, "clientIdHash")) is not None and text(fields, "clientId") is None:
        fields |= _registration(path.parent, name)
    provider = text(fields, "provider")
    return read_rows([fields], path, label=f"Kiro IDE ({provider})" if provider else "Kiro IDE")


def read_toolkits(path: Path) -> Reading:
    """The AWS toolkits' log-ins; `path` is the folder or one file in it. Raises RelayError."""
    if not path.is_dir():
        check_regular(path)
        return _toolkit(path, _object(path))
    try:
        files = sorted(file for file in path.iterdir() if file.suffix == ".json" and file.name != KIRO_FILE)
    except OSError as error:
        raise unreadable(f"{path} can't be read: {error.strerror}.") from error
    accounts: list[NewAccount] = []
    skipped: list[str] = []
    for file in files[:_MOST_FILES]:
        try:
            fields = _object(file)
        except RelayError as error:
            skipped.append(error.message)
            continue
        if text(fields, "refreshToken") is None or not _is_ours(fields):
            continue  # another program's, or a registration
        found = _toolkit(file, fields)
        accounts.extend(found.accounts)
        skipped.extend(found.skipped)
    return Reading(accounts, skipped)


def _toolkit(path: Path, fields: Mapping[str, Any]) -> Reading:
    if not _is_ours(fields):
        raise unreadable(f"{path} is no log-in of Amazon Q: it hasn't its scopes.")
    whole = {**fields}
    if text(whole, "clientId") is None:
        region = text(whole, "region") or ""
        candidates = sorted(path.parent.glob("aws-toolkit-vscode-client-id-*.json"))
        mine = [file for file in candidates if re.search(rf"-client-id-{re.escape(region)}(-|\.)", file.name)]
        if region and len(mine) == 1:
            whole |= _client(_object(mine[0]))
    return read_rows([whole], path, label="AWS toolkit")


def _is_ours(fields: Mapping[str, Any]) -> bool:
    return any(str(scope).startswith(_SCOPE) for scope in as_list(fields.get("scopes")) or ())


def _registration(folder: Path, name: str) -> dict[str, Any]:
    """The client a log-in names by its hash; the hash becomes part of a path, so it must be one."""
    if not _HASH.fullmatch(name):
        raise unreadable(f"{folder / KIRO_FILE} names its client in a way that is no hash.")
    file = folder / f"{name}.json"
    if not file.exists():
        raise unreadable(
            f"{folder / KIRO_FILE} names a client, and {file.name} isn't beside it.", "Log in again in Kiro."
        )
    return _client(_object(file))


def _client(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clientId": text(fields, "clientId"),
        "clientSecret": text(fields, "clientSecret"),
        "clientSecretExpiresAt": fields.get("expiresAt"),
    }


def _object(path: Path) -> Mapping[str, Any]:
    fields = as_object(read_json(path, largest=_LARGEST))
    if fields is None:
        raise unreadable(f"{path} holds no JSON object.")
    return fields
