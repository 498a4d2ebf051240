"""Model names: what clients call them, what the service calls them, what an account may use. Pure.

A client's name is looked for in the account's own list in this order (DESIGN: unknown names go through):

    a user's alias            QRELAY_MODEL_ALIASES
    the name itself           claude-sonnet-4.5
    the same model, spelt     claude-sonnet-4-5, claude-sonnet-4-5-20250929, claude-4.5-sonnet, claude-sonnet-4.5[1m],
    otherwise                 anthropic/claude-sonnet-4-5, us.anthropic.claude-sonnet-4-5-v1:0,
                              claude-sonnet-4-5@20250929, CLAUDE_SONNET_4_20250514_V1_0
    a family's name           sonnet, claude-opus, claude-haiku-latest and what Claude Code's aliases expand to
                              (claude-opus-5-5 …): the newest of that family
    an older gateway's name   claude-3.5-sonnet (`OLDER_NAMES`): the next newer one of its family
    anything else             goes through as it is, without what no id of the service has: `[1m]`, `provider/`
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct, structs

from qrelay.errors import ErrorCode, RelayError
from qrelay.redaction import CLEAN, Clean
from qrelay.upstream import schema

DEFAULT_WINDOW = 200_000
_LONGEST = 200
_SUFFIX = re.compile(r"\[\w+\]$")
_NOISE = re.compile(r"[-_@]?(20\d{6}|v\d+[_:]\d+|latest)$")
_VENDOR = re.compile(r"^(\w+\.)?anthropic\.")
_EFFORT = re.compile(r"[A-Za-z][\w-]{0,30}")
_PIECES = re.compile(r"[a-z]+|[0-9]{1,9}")
_FAMILIES = frozenset({"opus", "sonnet", "haiku"})
_CLAUDE_CODE = ((5, 5), ())  # what its aliases expand to (CLIENTS.md A1), and a bare family

OLDER_NAMES = ("claude-3.5-sonnet", "claude-sonnet-4", "claude-sonnet-4.5")
"""What programs set up for an older gateway ask for (SWITCHING.md, amq2api). They are served whatever an account lists:
where it has no such model, by another one, which the list of models and `x-qrelay-model` say."""


class Effort(Struct, frozen=True):
    """How a model is told how hard to think: the member of `additionalModelRequestFields`, and the words it takes."""

    member: str
    words: tuple[str, ...]


class Model(Struct, frozen=True):
    """One row of an account's list. Limits are in tokens, 0 where the service says nothing."""

    id: str
    name: str = ""
    description: str = ""
    max_input_tokens: int = 0
    max_output_tokens: int = 0
    input_types: tuple[str, ...] = ()
    rate_multiplier: float | None = None
    effort: Effort | None = None
    cached_from: int | None = None
    """Of how many tokens the beginning of a prompt must be to be cached; None where the service doesn't say it is."""

    @property
    def window(self) -> int:
        return self.max_input_tokens or DEFAULT_WINDOW


def _static(*ids: str, window: int = DEFAULT_WINDOW) -> tuple[Model, ...]:
    return tuple(Model(id_, max_input_tokens=window, input_types=("TEXT", "IMAGE")) for id_ in ids)


STATIC: tuple[Model, ...] = (
    *_static("auto", "claude-sonnet-4.5", "claude-sonnet-4", "claude-haiku-4.5", "claude-opus-4.5", "claude-opus-4.6"),
    *_static("claude-sonnet-4.6", window=1_000_000),
    *_static("claude-opus-4.7", "claude-opus-4.8", "claude-sonnet-5", "claude-opus-5"),
)
"""What is assumed while an account's own list can't be had (PROTOCOL.md §5, 2026)."""


class _Key(NamedTuple):
    words: frozenset[str]
    version: tuple[int, ...]


def _bare(name: str) -> str:
    return _SUFFIX.sub("", name.strip()).rsplit("/", 1)[-1]


@lru_cache(maxsize=1024)
def _key(name: str) -> _Key:
    """What a name says, however it is spelt. Names are at most as long as `_LONGEST`."""
    bare = _VENDOR.sub("", _bare(name).lower())
    while (shorter := _NOISE.sub("", bare)) != bare:
        bare = shorter
    pieces = _PIECES.findall(bare)
    words = frozenset(piece for piece in pieces if not piece.isdigit())
    return _Key(words, tuple(int(piece) for piece in pieces if piece.isdigit()))


def find(name: str, models: Iterable[Model]) -> Model | None:
    """The model a name spells, None if it is none of these."""
    models = tuple(models)
    for model in models:
        if model.id == name:
            return model
    if len(name) > _LONGEST:
        return None
    key = _key(name)
    return next((model for model in models if _key(model.id) == key), None)


def is_family(name: str) -> bool:
    """Whether a name means "the newest of its family" when no model is called that."""
    if len(name) > _LONGEST:
        return False
    key = _key(name)
    return len(key.words & _FAMILIES) == 1 and key.words <= _FAMILIES | {"claude"} and key.version in _CLAUDE_CODE


def newest(name: str, models: Iterable[Model]) -> Model | None:
    """The newest model of a family name's family, None if there is none."""
    family = _key(name).words & _FAMILIES
    members = [model for model in models if family <= _key(model.id).words]
    return max(members, key=lambda model: _key(model.id).version, default=None)


def serving(name: str, models: Iterable[Model]) -> Model | None:
    """The model of an account's list that serves a client's name, None if the name goes through as it is."""
    models = tuple(models)
    found = find(name, models)
    if found is not None or len(name) > _LONGEST:
        return found
    if is_family(name):
        return newest(name, models)
    key = _key(name)
    if not any(key == _key(older) for older in OLDER_NAMES):
        return None
    family = [model for model in models if _key(model.id).words == key.words]
    newer = [model for model in family if _key(model.id).version > key.version]
    return min(newer, key=lambda model: _key(model.id).version, default=newest(name, family))


def resolve(name: str, models: Sequence[Model], aliases: Mapping[str, str] | None = None) -> str:
    """The service's id for a client's name."""
    name = (aliases or {}).get(name, name)
    found = serving(name, models)
    return found.id if found is not None else _bare(name)


def listed(models: Sequence[Model], aliases: Mapping[str, str]) -> list[Model]:
    """An account's list, and the other names that are served: each a row that says what it stands for."""
    names = {**{name: name for name in OLDER_NAMES}, **aliases}
    ids = {model.id for model in models}
    others = ((name, serving(target, models)) for name, target in names.items() if name not in ids)
    return [
        *models,
        *(
            structs.replace(model, id=name, description=f"Another name of {model.id}.")
            for name, model in others
            if model is not None
        ),
    ]


# --- the service's list (PROTOCOL.md §5) ------------------------------------------------------------------------------


def read_page(body: bytes, clean: Clean = CLEAN) -> tuple[list[Model], str | None]:
    """One page of ListAvailableModels and the token of the next. Raises RelayError if it can't be read.

    Texts are cleaned; a model is left out if its id would not stay as it is.
    """
    try:
        page = msgspec.json.decode(body, type=schema.ListAvailableModelsResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError(ErrorCode.upstream_protocol, f"The list of models can't be read: {error}.") from None
    return [
        _model(row.modelId, row, clean)
        for row in page.models or ()
        if row.modelId and len(row.modelId) <= _LONGEST and clean(row.modelId) == row.modelId
    ], page.nextToken


def _model(id_: str, row: schema.ModelRow, clean: Clean) -> Model:
    limits = row.tokenLimits or schema.TokenLimits()
    return Model(
        id_,
        clean(row.modelName or ""),
        clean(row.description or ""),
        limits.maxInputTokens or 0,
        limits.maxOutputTokens or 0,
        tuple(map(clean, row.supportedInputTypes or ())),
        row.rateMultiplier,
        _effort(row.additionalModelRequestFieldsSchema),
        _cached_from(row.promptCaching),
    )


def _effort(fields: object) -> Effort | None:
    """What a JSON Schema of a model's own fields says of it; None if it says nothing that is understood (§2.1)."""
    for member in ("output_config", "reasoning"):
        words = _at(fields, "properties", member, "properties", "effort", "enum")
        if isinstance(words, list):
            found = (word for word in cast("list[object]", words) if isinstance(word, str))
            return Effort(member, tuple(word for word in found if _EFFORT.fullmatch(word)))
    return None


def _cached_from(caching: object) -> int | None:
    if _at(caching, "supportsPromptCaching") is not True:
        return None
    least = _at(caching, "minimumTokensPerCacheCheckpoint")
    return least if isinstance(least, int) else 0


def _at(value: object, *names: str) -> object:
    """What is there in JSON of any shape, None if nothing is."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(name)
    return value
