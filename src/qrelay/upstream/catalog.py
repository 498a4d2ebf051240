"""Which models each account may use, asked of the service and remembered. The names themselves: `models.py`."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from qrelay.credential import Credential
from qrelay.errors import RelayError
from qrelay.upstream.client import UpstreamClient
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.models import STATIC, Model, find, is_family, listed, read_page, resolve

FRESH_SECONDS = 600.0
RETRY_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
_MAX_PAGES = 20


_CACHED_NAME = 256
"""Characters of the longest name that may be a key of the cache: a client may send one of megabytes."""


class _Known(NamedTuple):
    models: Sequence[Model]
    until: float


class Catalog:
    """An account's list, kept for ten minutes. A list that can't be had never fails a chat: `STATIC` stands in."""

    def __init__(self, client: UpstreamClient, aliases: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._aliases = aliases or {}
        self._known: dict[str, _Known] = {}
        self._resolve = lru_cache(maxsize=1024)(self._resolved)
        self._asking: dict[str, asyncio.Task[Sequence[Model]]] = {}

    async def model(self, name: str, credential: Credential, endpoint: Endpoint, *, in_full: bool = False) -> Model:
        """The model that serves a client's name. The service is asked only if the name alone doesn't say, or if what
        the account's own list says of the model is needed `in_full`.
        """
        name = self._aliases.get(name, name)
        known = self._known.get(credential.account_id)
        models = known.models if known is not None else STATIC
        found = find(name, models)
        if found is None or (known is None and (in_full or is_family(name))):
            models = await self.models(credential, endpoint)
            id_ = resolve(name, models)
            found = find(id_, models) or Model(id_)
        return found

    def id_at(self, name: str, account_id: str) -> str:
        """The id of the model that would be asked of an account for a client's name, as far as it is known. No I/O."""
        return (self._resolve if len(name) <= _CACHED_NAME else self._resolved)(name, account_id)

    def _resolved(self, name: str, account_id: str) -> str:
        known = self._known.get(account_id)
        return resolve(name, known.models if known is not None else STATIC, self._aliases)

    def listed(self, models: Sequence[Model]) -> Sequence[Model]:
        """A list with the other names that are served."""
        return listed(models, self._aliases)

    async def models(self, credential: Credential, endpoint: Endpoint) -> Sequence[Model]:
        """The account's list; the last one known, or `STATIC`, if the service does not give it in a few seconds."""
        loop = asyncio.get_running_loop()
        known = self._known.get(credential.account_id)
        if known is not None and loop.time() < known.until:
            return known.models
        task = self._asking.get(credential.account_id)
        if task is None:
            task = asyncio.create_task(self._ask(credential, endpoint))
            self._asking[credential.account_id] = task
            task.add_done_callback(lambda _: self._asking.pop(credential.account_id, None))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            return known.models if known is not None else STATIC

    async def _ask(self, credential: Credential, endpoint: Endpoint) -> Sequence[Model]:
        known = self._known.get(credential.account_id)
        models: list[Model] = []
        token: str | None = None
        keep = FRESH_SECONDS
        clean = self._client.clean(credential)
        try:
            for _ in range(_MAX_PAGES):
                page, token = read_page(await self._client.list_models(credential, endpoint, token), clean)
                models.extend(page)
                if not token:
                    break
        except RelayError:
            models, keep = [], RETRY_SECONDS
        listed = models or (known.models if known is not None else STATIC)
        self._known[credential.account_id] = _Known(listed, asyncio.get_running_loop().time() + keep)
        self._resolve.cache_clear()
        return listed

    def forget(self, account_id: str) -> None:
        """The account is gone."""
        self._known.pop(account_id, None)

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
