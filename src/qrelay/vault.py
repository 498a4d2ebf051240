"""Secrets at rest: AES-256-GCM under a master key, each record bound to the place it is kept in.

    record    version (1 byte) | key id (4) | nonce (12) | ciphertext and tag
    bound to  table | row id | column     a record copied to another row or column does not open

The key id tells whose record it is; it is derived from the key and gives nothing away. There is one key but for a
change of it: then the first one seals and every one opens, until all records are of the first (`database.resealing`).
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qrelay.errors import ErrorCode, RelayError
from qrelay.private_files import chosen_wrongly, write_private

_VERSION = b"\x01"
_KEY_BYTES = 32
_HEAD = 5
_NONCE = 12


class Vault:
    """Seals secrets with the first key and opens them with any. Each is 32 bytes.

    `file` is where the keys are kept if that is the installation's own file: it may be changed by another process that
    uses it too, so a record of an unknown key has it read again.
    """

    def __init__(self, *keys: bytes, file: Path | None = None) -> None:
        self.file = file
        self._take(keys)

    def _take(self, keys: Iterable[bytes]) -> None:
        self._keys = tuple(keys)
        self._ciphers = {_key_id(key): AESGCM(key) for key in self._keys}
        self._key_id = _key_id(self._keys[0])

    def __repr__(self) -> str:
        return f"Vault(key_id={self._key_id.hex()})"

    def seal(self, plain: str, *, table: str, row: str, column: str) -> bytes:
        """One record. The same text sealed twice gives two different records."""
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self._key_id].encrypt(nonce, plain.encode(), _bound(table, row, column))
        return _VERSION + self._key_id + nonce + sealed

    def open(self, record: bytes, *, table: str, row: str, column: str) -> str:
        """The text of a record. Raises RelayError(store_failed) for another key, another place or damage."""
        if record[:1] != _VERSION or len(record) < _HEAD + _NONCE:
            raise _unreadable(f"{table}.{column} of {row} isn't a sealed record of this version.")
        if record[1:_HEAD] not in self._ciphers and self.file is not None:
            with suppress(RelayError):
                self._take(_read_keys(self.file))
        cipher = self._ciphers.get(record[1:_HEAD])
        if cipher is None:
            raise _unreadable(f"{table}.{column} of {row} was sealed with another master key.")
        try:
            plain = cipher.decrypt(record[_HEAD : _HEAD + _NONCE], record[_HEAD + _NONCE :], _bound(table, row, column))
        except InvalidTag as error:
            raise _unreadable(f"{table}.{column} of {row} is damaged or was moved there from elsewhere.") from error
        return plain.decode()

    @property
    def keys(self) -> int:
        """How many keys there are: more than one while the key is being changed."""
        return len(self._keys)

    def has_key_of(self, record: bytes) -> bool:
        """Return whether a record names one of these keys: then what doesn't open is damaged."""
        return record[:1] == _VERSION and record[1:_HEAD] in self._ciphers

    def is_current(self, record: bytes) -> bool:
        """Whether a record was sealed with the first key."""
        return record[1:_HEAD] == self._key_id

    def add_key(self) -> None:
        """A new first key, on the disk before it is used. Raises RelayError(store_failed), and nothing has changed."""
        self._write((os.urandom(_KEY_BYTES), *self._keys))

    def drop_old_keys(self, backups: Path, now: datetime) -> Path | None:
        """Forget all keys but the first: they go to a file for who needs an older backup. Raises as `add_key`."""
        if self.keys == 1:
            return None
        kept = backups / f"master-{now:%Y%m%dT%H%M%SZ}.key"
        try:
            write_private(kept, _written(self._keys[1:]), replace=False)
        except OSError as error:
            raise _unwritable(kept, error) from error
        self._write(self._keys[:1])
        return kept

    def _write(self, keys: tuple[bytes, ...]) -> None:
        if self.file is None:
            raise RelayError(ErrorCode.store_failed, "The master key comes from the settings, so it is changed there.")
        try:
            write_private(self.file, _written(keys), replace=True)
        except OSError as error:
            raise _unwritable(self.file, error) from error
        self._take(keys)


def open_vault(home: Path, *, key_file: Path | None = None, key: str | None = None, stored: bool = False) -> Vault:
    """The vault of an installation. The key is the file's, else the given text's, else that of `home/master.key`.

    A key is 32 bytes as base64 or hex; while it is being changed there are several, the new one first, with commas or
    white space between. `home/master.key` is made (0600) on the first start only: where something is `stored` already,
    a missing key is an error, because a new one could not open it.
    Raises RelayError when there is no usable key: configuration_refused, or store_failed where only the disk is in the
    way. Nothing that exists is changed.
    """
    if key_file is not None:
        return Vault(*_read_keys(key_file))
    if key is not None:
        return Vault(*_parse_keys(key, "QRELAY_MASTER_KEY"))
    path = home / "master.key"
    if not path.exists():
        if stored:
            raise RelayError(
                ErrorCode.configuration_refused,
                f"{path} is missing, and the accounts in the database can't be read without it.",
                remedy="Put the file back from a backup or from another replica, or set QRELAY_MASTER_KEY or "
                "QRELAY_MASTER_KEY_FILE. If the key is lost, begin with an empty database and add the accounts again.",
            )
        try:
            write_private(path, _written([os.urandom(_KEY_BYTES)]), replace=False)
        except FileExistsError:
            pass  # another process was faster: its key counts
        except OSError as error:
            raise _no_key(f"{path} can't be written: {error.strerror}.", error) from error
    return Vault(*_read_keys(path), file=path)


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"qrelay key id", hashlib.sha256)[:4]


def _written(keys: Iterable[bytes]) -> bytes:
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)


def _read_keys(path: Path) -> list[bytes]:
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise _no_key(f"The master key {path} can't be read: {error.strerror}.", error) from error
    except UnicodeDecodeError:
        text = ""  # and so no key; the bytes stay out of the message
    return _parse_keys(text, str(path))


def _parse_keys(text: str, source: str) -> list[bytes]:
    return [_parse_key(word, source) for word in text.replace(",", " ").split() or [""]]


def _parse_key(text: str, source: str) -> bytes:
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


def _no_key(message: str, cause: OSError | None = None) -> RelayError:
    return RelayError(
        ErrorCode.configuration_refused if cause is None or chosen_wrongly(cause) else ErrorCode.store_failed,
        message,
        remedy="Give the key this state was made with, or one from 'openssl rand -base64 32' for a new state.",
    )


def _unwritable(path: Path, error: OSError) -> RelayError:
    return RelayError(ErrorCode.store_failed, f"{path} can't be written: {error.strerror}.")


def _unreadable(message: str) -> RelayError:
    return RelayError(
        ErrorCode.store_failed,
        f"A stored secret can't be read: {message}",
        remedy="Start with the master key this state was made with (master.key, QRELAY_MASTER_KEY).",
    )
