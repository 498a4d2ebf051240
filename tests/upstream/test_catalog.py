"""The list of models an account may use: asked once, remembered, and never in the way of a chat."""

import asyncio
import json
from typing import Any

import pytest

from qrelay.credential import Credential
from qrelay.upstream import catalog as catalog_module
from qrelay.upstream.catalog import Catalog
from qrelay.upstream.client import Timeouts
from qrelay.upstream.endpoints import Endpoint
from qrelay.upstream.models import STATIC

from .loopback import Peer, Received, answers, client, serving, sized

pytestmark = pytest.mark.anyio

ME = Credential(account_id="me", access_token="t")
YOU = Credential(account_id="you", access_token="u")


def page(*ids: str, more: str | None = None) -> bytes:
    rows: list[Any] = [{"modelId": id_, "tokenLimits": {"maxInputTokens": 1000}} for id_ in ids]
    return sized(json.dumps({"models": rows, "nextToken": more}).encode())


async def test_pages_are_put_together_and_asked_for_once() -> None:
    async def behave(peer: Peer, received: Received) -> None:
        await peer.send(page("c") if received.json.get("nextToken") == "p2" else page("a", "b", more="p2"))

    async with serving(behave) as service, client() as upstream:
        catalog = Catalog(upstream)
        endpoint = Endpoint(service.url)
        lists = await asyncio.gather(*(catalog.models(ME, endpoint) for _ in range(5)))
        assert [model.id for model in lists[0]] == ["a", "b", "c"]
        assert all(models == lists[0] for models in lists)
        await catalog.models(ME, endpoint)
    assert len(service.requests) == 2


async def test_each_account_has_its_own() -> None:
    async def behave(peer: Peer, received: Received) -> None:
        await peer.send(page("mine" if received.headers["authorization"] == "Bearer t" else "yours"))

    async with serving(behave) as service, client() as upstream:
        catalog = Catalog(upstream)
        assert [model.id for model in await catalog.models(ME, Endpoint(service.url))] == ["mine"]
        assert [model.id for model in await catalog.models(YOU, Endpoint(service.url))] == ["yours"]
        catalog.forget("me")
        assert [model.id for model in await catalog.models(ME, Endpoint(service.url))] == ["mine"]
    assert len(service.requests) == 3


async def test_pages_without_end() -> None:
    async with serving(answers(page("a", more="again"))) as service, client() as upstream:
        assert await Catalog(upstream).models(ME, Endpoint(service.url))
    assert len(service.requests) == 20


@pytest.mark.parametrize(
    "answer", [sized(b"no", "500 No"), sized(b"<html>"), sized(b"{}"), page("", more=None), sized(b"no", "403 No")]
)
async def test_a_list_that_cannot_be_had(answer: bytes) -> None:
    async with serving(answers(answer)) as service, client() as upstream:
        catalog = Catalog(upstream)
        assert await catalog.models(ME, Endpoint(service.url)) == STATIC
        assert await catalog.models(ME, Endpoint(service.url)) == STATIC
        assert (await catalog.model("something-new", ME, Endpoint(service.url))).id == "something-new"
    assert len(service.requests) == 1


async def test_a_list_that_breaks_off_is_none() -> None:
    async def behave(peer: Peer, received: Received) -> None:
        await peer.send(sized(b"no", "500 No") if "nextToken" in received.json else page("a", more="p2"))

    async with serving(behave) as service, client() as upstream:
        assert await Catalog(upstream).models(ME, Endpoint(service.url)) == STATIC


async def test_an_old_list_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "FRESH_SECONDS", 0.0)
    working = True

    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(page("a") if working else sized(b"no", "500 No"))

    async with serving(behave) as service, client() as upstream:
        catalog = Catalog(upstream)
        assert [model.id for model in await catalog.models(ME, Endpoint(service.url))] == ["a"]
        working = False
        assert [model.id for model in await catalog.models(ME, Endpoint(service.url))] == ["a"]
    assert len(service.requests) == 2


async def test_a_list_that_is_long_in_coming_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "PATIENCE_SECONDS", 0.05)
    now = asyncio.Event()

    async def behave(peer: Peer, _: Received) -> None:
        await now.wait()
        await peer.send(page("a"))

    async with serving(behave) as service, client() as upstream:
        catalog = Catalog(upstream)
        assert await catalog.models(ME, Endpoint(service.url)) == STATIC
        now.set()
        monkeypatch.setattr(catalog_module, "PATIENCE_SECONDS", 5.0)
        assert [model.id for model in await catalog.models(ME, Endpoint(service.url))] == ["a"]
    assert len(service.requests) == 1


async def test_a_service_that_never_answers_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "RETRY_SECONDS", 0.0)

    async def behave(peer: Peer, _: Received) -> None:
        await peer.until_left()

    async with serving(behave) as service, client(Timeouts(first_event=0.05)) as upstream:
        catalog = Catalog(upstream)
        for _ in range(2):
            assert await catalog.models(ME, Endpoint(service.url)) == STATIC
    assert len(service.requests) == 2


async def test_a_known_name_needs_no_list() -> None:
    async with serving(answers(page("a"))) as service, client() as upstream:
        model = await Catalog(upstream).model("claude-sonnet-4-6", ME, Endpoint(service.url))
    assert (model.id, model.window) == ("claude-sonnet-4.6", 1_000_000)
    assert service.requests == []


async def test_a_family_s_name_is_looked_up_in_the_account_s_list() -> None:
    async with serving(answers(page("auto", "claude-opus-4.1", "claude-opus-4.2"))) as service, client() as upstream:
        model = await Catalog(upstream).model("claude-opus-5-5", ME, Endpoint(service.url))
    assert (model.id, model.window) == ("claude-opus-4.2", 1000)


async def test_an_alias_comes_first() -> None:
    async with serving(answers(page("a"))) as service, client() as upstream:
        catalog = Catalog(upstream, {"gpt-4o": "claude-sonnet-4-5"})
        assert (await catalog.model("gpt-4o", ME, Endpoint(service.url))).id == "claude-sonnet-4.5"


async def test_closing_stops_the_asking() -> None:
    asked = asyncio.Event()

    async def behave(peer: Peer, _: Received) -> None:
        asked.set()
        await peer.until_left()

    async with serving(behave) as service, client() as upstream:
        catalog = Catalog(upstream)
        asking = asyncio.create_task(catalog.models(ME, Endpoint(service.url)))
        async with asyncio.timeout(5):
            await asked.wait()
            await catalog.close()
            await asyncio.gather(asking, return_exceptions=True)
            await service.peers[0].left.wait()
