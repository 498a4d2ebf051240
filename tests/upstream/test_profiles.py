"""Profiles are asked for at every place there is, page by page; a place that gives none is told, and spoils nothing."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from qrelay.credential import Credential
from qrelay.errors import ErrorCode
from qrelay.outward.http1 import Connections
from qrelay.upstream.client import Timeouts, UpstreamClient
from qrelay.upstream.endpoints import Binding, Endpoint, Table, all_endpoints
from qrelay.upstream.profiles import Profile, choose, list_profiles

pytestmark = pytest.mark.anyio

CREDENTIAL = Credential(account_id="1", access_token="access", kind="identity_center", profile_arn="arn:old")


class Place:
    """One region's service, which answers with these pages in turn."""

    def __init__(self, *pages: Any, status: int = 200) -> None:
        self.pages = list(pages)
        self.status = status
        self.asked: list[tuple[str, str | None, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers.get("x-amz-target"), await request.json()))
        assert request.headers["authorization"] == "Bearer access"
        return web.json_response(self.pages.pop(0), status=self.status)


@asynccontextmanager
async def serving(
    *places: Place, binding: Binding = "awsjson"
) -> AsyncGenerator[tuple[UpstreamClient, list[Endpoint]]]:
    async with AsyncExitStack() as stack:
        endpoints: list[Endpoint] = []
        for place in places:
            app = web.Application()
            app.router.add_post("/{path:.*}", place.answer)
            runner = web.AppRunner(app, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            endpoints += all_endpoints(Table("http://{}:{}/".format(*runner.addresses[0][:2]), binding))
        connections = Connections()
        stack.callback(connections.close)
        yield UpstreamClient(connections, Timeouts(), "qrelay/test"), endpoints


def page(*arns: str, more: str | None = None) -> dict[str, Any]:
    return {"profiles": [{"arn": arn, "profileName": f"name of {arn}", "extra": 1} for arn in arns], "nextToken": more}


async def test_pages_of_all_places_are_put_together() -> None:
    here, there = Place(page("a", "b", more="next"), page("c")), Place(page("c", "d"))
    async with serving(here, there) as (client, endpoints):
        found, failures = await list_profiles(client, CREDENTIAL, endpoints)
    assert found == [Profile(arn, f"name of {arn}") for arn in "abcd"]
    assert failures == []
    target = "AmazonCodeWhispererService.ListAvailableProfiles"
    assert here.asked == [("/", target, {"maxResults": 10}), ("/", target, {"maxResults": 10, "nextToken": "next"})]
    assert there.asked == [("/", target, {"maxResults": 10})]


async def test_the_other_binding_has_a_path() -> None:
    place = Place(page("a"))
    async with serving(place, binding="restjson") as (client, endpoints):
        found, _ = await list_profiles(client, CREDENTIAL, endpoints)
    assert [profile.arn for profile in found] == ["a"]
    assert place.asked == [("/ListAvailableProfiles", None, {"maxResults": 10})]


async def test_a_place_that_gives_none_is_told() -> None:
    closed = Place({"message": "The bearer token included in the request is invalid."}, status=403)
    broken, empty, good = Place([1, 2]), Place({"profiles": None}), Place({"profiles": [{"arn": None}, {"arn": "a"}]})
    async with serving(closed, broken, empty, good) as (client, endpoints):
        found, failures = await list_profiles(client, CREDENTIAL, endpoints)
    assert found == [Profile("a")]
    assert [failure.code for failure in failures] == [ErrorCode.account_expired, ErrorCode.upstream_protocol]


async def test_another_host_is_asked_only_where_the_first_names_none() -> None:
    first, second = Place(page("a")), Place(page("b"))
    async with serving(first, second) as (client, endpoints):
        moved = [endpoints[0], endpoints[1]._replace(name="kiro")]
        assert [profile.arn for profile in (await list_profiles(client, CREDENTIAL, moved))[0]] == ["a"]
        assert second.asked == []
        first.pages.append(page())
        assert [profile.arn for profile in (await list_profiles(client, CREDENTIAL, moved))[0]] == ["b"]


def test_which_profile_is_taken() -> None:
    profiles = [Profile("a"), Profile("b")]
    assert choose(profiles) == "a"
    assert choose(profiles, None, "b") == "b"
    assert choose(profiles, "elsewhere", None) == "a"
    assert choose([], "elsewhere") is None
