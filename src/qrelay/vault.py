"""Secrets at rest: AES-256-GCM under one master key, each record bound to the place it is kept in. Not key rotation.

    record    version (1 byte) | key id (4) | nonce (12) | ciphertext and tag
    bound to  table | row id | column     a record copied to another row or column does not open

The key id tells a record of another key from a damaged one; it is derived from the key and gives nothing away.
"""

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import private_directory, write_private

_VERSION = b"\x01"
_KEY_BYTES = 32
_HEAD = 5
_NONCE = 12


class Vault:
    """Seals and opens secrets. `key` is 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._key_id = hmac.digest(key, b"qrelay key id", hashlib.sha256)[:4]

    def __repr__(self) -> str:
        return f"Vault(key_id={self._key_id.hex()})"

    def seal(self, plain: str, *, table: str, row: str, column: str) -> bytes:
        """One record. The same text sealed twice gives two different records."""
        nonce = os.urandom(_NONCE)
        return _VERSION + self._key_id + nonce + self._cipher.encrypt(nonce, plain.encode(), _bound(table, row, column))

    def open(self, record: bytes, *, table: str, row: str, column: str) -> str:
        """The text of a record. Raises RelayError(store_failed) for another key, another place or damage."""
        if record[:1] != _VERSION or len(record) < _HEAD + _NONCE:
            raise _unreadable(f"{table}.{column} of {row} isn't a sealed record of this version.")
        if record[1:_HEAD] != self._key_id:
            raise _unreadable(f"{table}.{column} of {row} was sealed with another master key.")
        try:
            plain = self._cipher.decrypt(
                record[_HEAD : _HEAD + _NONCE], record[_HEAD + _NONCE :], _bound(table, row, column)
            )
        except InvalidTag as error:
            raise _unreadable(f"{table}.{column} of {row} is damaged or was moved there from elsewhere.") from error
        return plain.decode()


def open_vault(home: Path, *, key_file: Path | None = None, key: str | None = None) -> Vault:
    """The vault of an installation. The key is the file's, else the given text's, else that of `home/master.key`.

    A key is 32 bytes as base64 or hex. `home/master.key` is made (0600) on the first start only: where a database is
    already, a missing key is an error, because a new one could not open what is stored.
    Raises RelayError(store_failed) when there is no usable key; nothing that exists is changed.
    """
    if key_file is not None:
        return Vault(_read_key(key_file))
    if key is not None:
        return Vault(_parse_key(key, "QRELAY_MASTER_KEY"))
    path = home / "master.key"
    private_directory(home)
    if not path.exists():
        if (home / "qrelay.sqlite3").exists():
            raise RelayError(
                ErrorCode.store_failed,
                f"{path} is missing, and the accounts beside it can't be read without it.",
                remedy="Put the file back from a backup, or set QRELAY_MASTER_KEY or QRELAY_MASTER_KEY_FILE. "
                "If the key is lost, move qrelay.sqlite3 away and add the accounts again.",
            )
        try:
            write_private(path, base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n", replace=False)
        except FileExistsError:
            pass  # another process was faster: its key counts
        except OSError as error:
            raise _no_key(f"{path} can't be written: {error.strerror}.") from error
    return Vault(_read_key(path))


def _read_key(path: Path) -> bytes:
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise _no_key(f"The master key {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        text = ""  # and so no key; the bytes stay out of the message
    return _parse_key(text, str(path))


def _parse_key(text: str, source: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * _KEY_BYTES else base64.b64decode(_standard(text), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise _no_key(f"{source} doesn't hold a master key: 32 bytes as base64 or hex.")
    return key


def _standard(text: str) -> str:
    """Base64 of either alphabet, with or without its padding."""
    text = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    return text + "=" * (-len(text) % 4)


def _bound(table: str, row: str, column: str) -> bytes:
    return f"{table}|{row}|{column}".encode()


def _no_key(message: str) -> RelayError:
    return RelayError(
        ErrorCode.store_failed,
        message,
        remedy="Give the key this state was made with, or one from 'openssl rand -base64 32' for a new state.",
    )


def _unreadable(message: str) -> RelayError:
    return RelayError(
        ErrorCode.store_failed,
        f"A stored secret can't be read: {message}",
        remedy="Start with the master key this state was made with (master.key, QRELAY_MASTER_KEY).",
    )
