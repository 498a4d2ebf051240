"""Accounts on their way to another machine: bytes sealed with a passphrase. Not what is in them.

A parcel is a JSON object that says how it is sealed: the key is scrypt's of the passphrase, the cipher AES-256-GCM, and
what it says is authenticated with the content, so that none of it can be changed.
"""

import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Struct

from qrelay.errors import ErrorCode, RelayError
from qrelay.json_errors import JSON_ERRORS

_COST: Final = 1 << 17  # 128 MiB and about half a second
_COSTS: Final = frozenset(1 << exponent for exponent in range(14, 20))
_BLOCK: Final = 8
_AGAIN: Final = "Nothing was imported. Try again with the passphrase it was exported with."


class _Parcel(Struct, frozen=True, forbid_unknown_fields=True):
    qrelay_export: int
    cipher: str
    kdf: str
    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    sealed: bytes = b""

    def label(self) -> bytes:
        """Everything but the content."""
        return msgspec.json.encode(msgspec.structs.replace(self, sealed=b""))


def seal(plain: bytes, passphrase: str) -> bytes:
    """A parcel; the same twice is never the same bytes."""
    parcel = _Parcel(1, "AES-256-GCM", "scrypt", _COST, _BLOCK, 1, os.urandom(16), os.urandom(12))
    sealed = AESGCM(_key(parcel, passphrase)).encrypt(parcel.nonce, plain, parcel.label())
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(parcel, sealed=sealed)), indent=1) + b"\n"


def is_parcel(raw: bytes) -> bool:
    """Whether these bytes are a parcel, and not accounts in plain text."""
    try:
        return "sealed" in msgspec.json.decode(raw, type=dict[str, object])
    except JSON_ERRORS:
        return False


def unseal(raw: bytes, passphrase: str) -> bytes:
    """What is in a parcel. Raises RelayError(request_invalid) for another passphrase, damage, or another version."""
    try:
        parcel = msgspec.json.decode(raw, type=_Parcel)
    except JSON_ERRORS as error:
        raise RelayError(
            ErrorCode.request_invalid, "That is no export of this version of qrelay.", remedy=_AGAIN
        ) from error
    known = (parcel.qrelay_export, parcel.cipher, parcel.kdf, parcel.r, parcel.p)
    # The cost is what the file says: one that would take hours or all memory is nobody's honest export.
    if known != (1, "AES-256-GCM", "scrypt", _BLOCK, 1) or parcel.n not in _COSTS or len(parcel.nonce) != 12:
        raise RelayError(
            ErrorCode.request_invalid, "That export is sealed in a way this version doesn't know.", remedy=_AGAIN
        )
    try:
        return AESGCM(_key(parcel, passphrase)).decrypt(parcel.nonce, parcel.sealed, parcel.label())
    except InvalidTag as error:
        raise RelayError(
            ErrorCode.request_invalid, "The passphrase is another one, or the export is damaged.", remedy=_AGAIN
        ) from error


def _key(parcel: _Parcel, passphrase: str) -> bytes:
    return Scrypt(salt=parcel.salt, length=32, n=parcel.n, r=parcel.r, p=parcel.p).derive(passphrase.encode())
