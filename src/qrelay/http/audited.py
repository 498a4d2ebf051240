"""What a management request is called in the audit log, and what of it is written there. Pure; not the writing: `gate`.

    POST   /v2/accounts               account.create      DELETE /v2/accounts/{id}         account.delete
    PATCH  /v2/accounts/{id}          account.update      POST   /v2/accounts/{id}/refresh account.refresh

Names follow from routes, so a new route has one without being told of here; `_NAMED` are those that would be odd. Of a
body the names of its members are kept, and only names that some route knows: anything else may be a secret in the wrong
place. Of an answer an id and an error's code are.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Raw
from pydantic import AliasChoices, BaseModel
from pydantic_core import from_json

from qrelay.http.openapi import TABLE

_NAMED: Final[Mapping[tuple[str, str], str | None]] = {
    ("POST", "/v2/import"): "account.import",
    ("POST", "/v2/import/file"): "account.import",
    ("POST", "/v2/export"): "account.export",
    ("POST", "/v2/auth/start"): "login.start",
    ("POST", "/v2/auth/claim/{id}"): None,  # it waits, and changes nothing
    ("POST", "/v2/session"): None,  # it writes its own rows: nobody is let in yet when it is asked
    ("DELETE", "/v2/session"): "session.close",
    ("POST", "/credentials"): "account.create",
    ("GET", "/test/token"): "account.refresh",
}
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_VERBS: Final = {"POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}
_SURFACES: Final = frozenset({"v2", "api"})


def action(method: str, route: str) -> str | None:
    """What a request of that route does, such as `account.update`; None when it only looks. `route` has `{id}`s."""
    method = "GET" if method == "HEAD" else method  # the same is done for it
    if (method, route) in _NAMED:
        return _NAMED[method, route]
    if method not in _VERBS:
        return None
    words = [word for word in route.split("/") if word and not word.startswith("{")]
    if words and words[0] in _SURFACES:
        words = words[1:]
    noun, *verbs = words or [route]
    return f"{noun.removesuffix('s')}.{verbs[-1] if verbs else _VERBS[method]}"


def members(body: bytes) -> list[str]:
    """The names of a body's members that some route knows."""
    try:
        held = _members(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return sorted(_KNOWN & held.keys())


def made(answer: bytes) -> str | None:
    """The id of what a good answer says was made."""
    held = _object(answer)
    inner = held.get("data")
    ids = (
        held.get("id"),
        cast("dict[str, Any]", inner).get("id") if isinstance(inner, dict) else None,
        held.get("authId"),
    )
    return next((id_ for id_ in ids if isinstance(id_, str)), None)


def failure(answer: bytes) -> str | None:
    """The code of the error that an answer tells."""
    error = _object(answer).get("error")
    code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        held = from_json(raw)
    except ValueError:
        return {}
    return cast("dict[str, Any]", held) if isinstance(held, dict) else {}


def _names(body: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    for name, field in body.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        names.update(str(choice) for choice in choices)
    return names


def _known() -> frozenset[str]:
    names: set[str] = set()
    for operations in TABLE.values():
        for operation in operations:
            if isinstance(operation.body, type):
                names |= _names(operation.body)
            elif operation.path.startswith("/v2/"):
                names |= set(operation.body or ())
    return frozenset(names)


_KNOWN: Final = _known()
