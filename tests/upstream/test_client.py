"""The client towards the service, on real sockets: what is sent, what is read, and every way it goes wrong."""

import asyncio
import socket
from urllib.parse import parse_qs

import pytest
from inline_snapshot import snapshot

from qrelay.credential import Credential, LoginKind
from qrelay.errors import ErrorCode, RelayError
from qrelay.upstream.client import Answer, Timeouts, UpstreamClient
from qrelay.upstream.endpoints import Endpoint

from .frames import END, text
from .loopback import CHUNKED, HEAD, Peer, Received, answers, chunk, client, serving, sized

pytestmark = pytest.mark.anyio

CREDENTIAL = Credential(account_id="1", access_token="secret-token")
BODY = b'{"conversationState":{}}'
STREAM = text("Hello") + END


async def ask(upstream: UpstreamClient, url: str, **more: object) -> Answer:
    return await upstream.converse(CREDENTIAL, Endpoint(url)._replace(**more), BODY)


async def whole(answer: Answer) -> bytes:
    data = b""
    async with answer:
        while more := await answer.read():
            data += more
    return data


async def failure(url: str, timeouts: Timeouts | None = None) -> RelayError:
    """What asking there, and reading to the end, raises."""
    async with client(timeouts) as upstream:
        with pytest.raises(RelayError) as caught:
            await whole(await ask(upstream, url))
    assert "secret-token" not in f"{caught.value!r} {caught.value.message} {caught.value.remedy}"
    return caught.value


# --- what is sent -----------------------------------------------------------------------------------------------------


def told(received: Received, url: str) -> dict[str, str]:
    """The headers, the host's port replaced: it is another one each time."""
    headers = dict(received.headers)
    assert headers.pop("host") == url.removeprefix("http://")
    return dict(sorted(headers.items()))


async def test_a_conversation_over_awsjson() -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        assert await whole(await ask(upstream, service.url)) == STREAM
    (received,) = service.requests
    assert received.line == "POST / HTTP/1.1"
    assert received.body == BODY
    assert told(received, service.url) == snapshot(
        {
            "authorization": "Bearer secret-token",
            "content-length": "24",
            "content-type": "application/x-amz-json-1.0",
            "user-agent": "qrelay/test",
            "x-amz-target": "AmazonCodeWhispererStreamingService.GenerateAssistantResponse",
            "x-amzn-codewhisperer-optout": "true",
        }
    )


async def test_a_conversation_over_restjson() -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        assert await whole(await ask(upstream, service.url, binding="restjson")) == STREAM
    (received,) = service.requests
    assert received.line == "POST /generateAssistantResponse HTTP/1.1"
    assert told(received, service.url) == snapshot(
        {
            "authorization": "Bearer secret-token",
            "content-length": "24",
            "content-type": "application/json",
            "user-agent": "qrelay/test",
            "x-amzn-codewhisperer-optout": "true",
        }
    )


async def test_another_target() -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        await whole(await ask(upstream, service.url, streaming_target="KiroRuntimeService"))
    assert service.requests[0].headers["x-amz-target"] == "KiroRuntimeService.GenerateAssistantResponse"


@pytest.mark.parametrize(
    ("kind", "token_type"),
    [
        ("builder_id", None),
        ("identity_center", None),
        ("social", None),
        ("external_idp", "EXTERNAL_IDP"),
        ("api_key", "API_KEY"),
    ],
)
async def test_the_token_s_type(kind: LoginKind, token_type: str | None) -> None:
    credential = Credential(account_id="1", access_token="t", kind=kind)
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        await whole(await upstream.converse(credential, Endpoint(service.url), BODY))
    assert service.requests[0].headers.get("tokentype") == token_type


async def test_nothing_is_shared_and_nothing_compressed() -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        await whole(await ask(upstream, service.url))
    headers = service.requests[0].headers
    assert headers["x-amzn-codewhisperer-optout"] == "true"
    assert headers["user-agent"] == "qrelay/test"
    assert "accept-encoding" not in headers
    assert "cookie" not in headers


ARN = "arn:aws:codewhisperer:us-east-1:123456789012:profile/ABCDEFGHIJKL"


async def test_the_list_of_models_over_awsjson() -> None:
    credential = Credential(account_id="1", access_token="t", profile_arn=ARN)
    async with serving(answers(sized(b'{"models":[]}'))) as service, client() as upstream:
        assert await upstream.list_models(credential, Endpoint(service.url), None) == b'{"models":[]}'
        await upstream.list_models(credential, Endpoint(service.url, sends_profile_arn=False), "page-2")
    first, second = service.requests
    assert first.line == "POST / HTTP/1.1"
    assert first.headers["x-amz-target"] == "AmazonCodeWhispererService.ListAvailableModels"
    assert first.json == {"origin": "CLI", "maxResults": 50, "profileArn": ARN}
    assert second.json == {"origin": "CLI", "maxResults": 50, "nextToken": "page-2"}


async def test_the_list_of_models_over_restjson() -> None:
    credential = Credential(account_id="1", access_token="t", profile_arn=ARN)
    async with serving(answers(sized(b'{"models":[]}'))) as service, client() as upstream:
        await upstream.list_models(credential, Endpoint(service.url, "restjson", "KIRO_CLI"), "a/b&c")
    (received,) = service.requests
    path, _, query = received.line.removesuffix(" HTTP/1.1").partition("?")
    assert path == "GET /ListAvailableModels"
    assert parse_qs(query) == {
        "origin": ["KIRO_CLI"],
        "maxResults": ["50"],
        "profileArn": [ARN],
        "nextToken": ["a/b&c"],
    }
    assert received.headers["x-amzn-codewhisperer-optout"] == "true"
    assert received.body == b""


# --- what is read -----------------------------------------------------------------------------------------------------


async def test_bytes_come_as_they_arrive() -> None:
    more = asyncio.Event()

    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(CHUNKED, chunk(text("one")))
        await more.wait()
        await peer.send(chunk(END), b"0\r\n\r\n")

    async with serving(behave) as service, client() as upstream, await ask(upstream, service.url) as answer:
        assert await answer.read() == text("one")
        more.set()
        assert await answer.read() == END
        assert await answer.read() == b""
        assert answer.request_id == "r-1"


@pytest.mark.parametrize(
    ("head", "body"),
    [(CHUNKED, chunk(STREAM) + b"0\r\n\r\n"), (HEAD + b"content-length: %d\r\n\r\n" % len(STREAM), STREAM)],
)
async def test_http_says_where_the_body_ends(head: bytes, body: bytes) -> None:
    async with serving(answers(head, body)) as service, client() as upstream:
        answer = await ask(upstream, service.url)
        assert await whole(answer) == STREAM
        assert answer.framed is True


async def test_only_the_connection_says_where_the_body_ends() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(HEAD + b"connection: close\r\n\r\n", STREAM)
        peer.left.set()

    async with serving(behave) as service, client() as upstream:
        answer = await ask(upstream, service.url)
        assert await whole(answer) == STREAM
        assert answer.framed is False


async def test_a_byte_at_a_time() -> None:
    answer_bytes = CHUNKED + chunk(STREAM) + b"0\r\n\r\n"
    pieces = [answer_bytes[n : n + 1] for n in range(len(answer_bytes))]
    async with serving(answers(*pieces)) as service, client() as upstream:
        assert await whole(await ask(upstream, service.url)) == STREAM


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        for _ in range(3):
            assert await whole(await ask(upstream, service.url)) == STREAM
    assert len(service.requests) == 3
    assert service.connections == 1


async def test_leaving_early_closes_the_connection() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(CHUNKED, chunk(text("one")))
        await peer.until_left()

    async with serving(behave) as service, client() as upstream:
        async with await ask(upstream, service.url) as answer:
            assert await answer.read() == text("one")
        async with asyncio.timeout(5):
            await service.peers[0].left.wait()


async def test_a_call_that_is_cancelled_before_its_answer_closes_the_connection() -> None:
    asked = asyncio.Event()

    async def behave(peer: Peer, _: Received) -> None:
        asked.set()
        await peer.until_left()

    async with serving(behave) as service, client() as upstream:
        call = asyncio.create_task(ask(upstream, service.url))
        async with asyncio.timeout(5):
            await asked.wait()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await service.peers[0].left.wait()


async def test_closing_twice_does_no_harm() -> None:
    async with (
        serving(answers(sized(STREAM))) as service,
        client() as upstream,
        await ask(upstream, service.url) as answer,
    ):
        answer.close()


# --- how it goes wrong ------------------------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = await failure(f"http://127.0.0.1:{port}")
    assert error.code is ErrorCode.upstream_unreachable
    assert f"127.0.0.1:{port}" in error.message


async def test_nobody_is_called_that() -> None:
    error = await failure("http://no-such-host.invalid")
    assert error.code is ErrorCode.upstream_unreachable
    assert "no-such-host.invalid" in error.message


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999", "nonsense", "ftp://127.0.0.1", "http://"])
async def test_an_address_that_is_none(url: str) -> None:
    assert (await failure(url)).code is ErrorCode.upstream_unreachable


async def test_a_password_in_the_address_is_not_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failure(f"http://me:hunter2@127.0.0.1:{taken.getsockname()[1]}")
    assert "hunter2" not in error.message


@pytest.mark.parametrize("token", ["two\r\nx-lines: 1", "half \ud83d"])
async def test_a_token_that_no_header_can_hold(token: str) -> None:
    async with serving(answers(sized(STREAM))) as service, client() as upstream:
        with pytest.raises(RelayError) as caught:
            await upstream.converse(Credential(account_id="1", access_token=token), Endpoint(service.url), BODY)
    assert caught.value.code is ErrorCode.upstream_unreachable
    assert token not in caught.value.message
    assert service.requests == []


async def test_no_connection_in_time() -> None:
    """A queue of one that is full: the next connection is never accepted."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        error = await failure(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(connect=0.1))
    assert error.code is ErrorCode.upstream_unreachable
    assert "within 0.1 s" in error.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400 Bad Request", ErrorCode.upstream_rejected),
        ("402 Payment Required", ErrorCode.quota_exhausted),
        ("403 Forbidden", ErrorCode.account_forbidden),
        ("429 Too Many Requests", ErrorCode.account_throttled),
        ("500 Internal Server Error", ErrorCode.upstream_failed),
        ("503 Service Unavailable", ErrorCode.upstream_overloaded),
        ("302 Found", ErrorCode.upstream_failed),
        ("204 No Content", ErrorCode.upstream_failed),
    ],
)
async def test_a_refusal(status: str, code: ErrorCode) -> None:
    answer = sized(b'{"message":"Said the service."}', status, location="http://127.0.0.1:1/")
    if status.startswith("204"):
        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with serving(answers(answer)) as service:
        error = await failure(service.url)
    assert error.code is code
    assert error.status == int(status[:3])
    assert len(service.requests) == 1


async def test_a_refusal_s_headers_are_read() -> None:
    headers = {"X_Amzn_ErrorType": "ThrottlingException:http://x", "Retry_After": "7"}
    async with serving(answers(sized(b"{}", "400 Bad Request", **headers))) as service:
        error = await failure(service.url)
    assert (error.code, error.retry_after) == (ErrorCode.account_throttled, 7)


async def test_a_refusal_that_is_cut_is_told_by_its_status() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 500\r\n\r\n", b'{"mess')
        peer.left.set()

    async with serving(behave) as service:
        assert (await failure(service.url)).code is ErrorCode.account_throttled


async def test_a_refusal_without_end_is_not_read_without_end() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await peer.send(chunk(b"x" * 10_000))

    async with serving(behave) as service:
        error = await failure(service.url)
    assert error.code is ErrorCode.upstream_failed
    assert len(error.message) < 1000


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n", b"\x00" * 50, b"HTTP/1.1 999999 x\r\n\r\n"])
async def test_what_is_not_http(answer: bytes) -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(answer)
        peer.left.set()

    async with serving(behave) as service:
        assert (await failure(service.url)).code in (ErrorCode.upstream_unreachable, ErrorCode.upstream_protocol)


@pytest.mark.parametrize(
    "head", [CHUNKED, HEAD + b"content-length: 5000\r\n\r\n"], ids=["within the chunks", "within the length"]
)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_answer_that_is_cut(head: bytes, how: str) -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(head, chunk(STREAM) if head is CHUNKED else STREAM)
        if how == "reset":
            await peer.reset()
        peer.left.set()

    async with serving(behave) as service, client() as upstream, await ask(upstream, service.url) as answer:
        assert await answer.read() == STREAM
        with pytest.raises(RelayError, match="was cut") as caught:
            await answer.read()
    assert caught.value.code is ErrorCode.upstream_protocol


async def test_chunks_that_are_none() -> None:
    async with serving(answers(CHUNKED, b"zz\r\nnonsense\r\n")) as service:
        assert (await failure(service.url)).code is ErrorCode.upstream_protocol


async def test_silence() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(CHUNKED, chunk(text("one")))
        await peer.until_left()

    async with serving(behave) as service:
        error = await failure(service.url, Timeouts(silence=0.1))
        async with asyncio.timeout(5):
            await service.peers[0].left.wait()
    assert error.code is ErrorCode.upstream_timeout
    assert error.message.startswith("The upstream was silent for 0.1 s")


async def test_a_reply_that_takes_too_long() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(CHUNKED)
        while True:
            await peer.send(chunk(b"x"))
            await asyncio.sleep(0.02)

    async with serving(behave) as service:
        error = await failure(service.url, Timeouts(silence=30, total=0.2))
    assert error.code is ErrorCode.upstream_timeout
    assert error.message.startswith("The reply took longer than 0.2 s")


async def test_a_reader_that_is_slow_is_not_the_upstream_s_silence() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(CHUNKED, chunk(text("one")))
        await asyncio.sleep(0.3)
        await peer.send(chunk(END), b"0\r\n\r\n")

    async with (
        serving(behave) as service,
        client(Timeouts(silence=0.1)) as upstream,
        await ask(upstream, service.url) as answer,
    ):
        assert await answer.read() == text("one")
        await asyncio.sleep(0.5)
        assert await answer.read() == END
        assert await answer.read() == b""


async def test_what_has_arrived_whole_can_be_read_after_any_time() -> None:
    async with (
        serving(answers(sized(STREAM))) as service,
        client(Timeouts(silence=0.05, total=0.1)) as upstream,
        await ask(upstream, service.url) as answer,
    ):
        await asyncio.sleep(0.3)
        assert await answer.read() == STREAM
        assert await answer.read() == b""


async def test_a_list_of_models_that_never_comes() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.until_left()

    async with serving(behave) as service, client(Timeouts(first_event=0.1)) as upstream:
        with pytest.raises(RelayError) as caught:
            await upstream.list_models(CREDENTIAL, Endpoint(service.url), None)
        async with asyncio.timeout(5):
            await service.peers[0].left.wait()
    assert caught.value.code is ErrorCode.upstream_timeout


async def test_a_list_of_models_that_is_cut() -> None:
    async def behave(peer: Peer, _: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", b'{"models":')
        peer.left.set()

    async with serving(behave) as service, client() as upstream:
        with pytest.raises(RelayError, match="was cut") as caught:
            await upstream.list_models(CREDENTIAL, Endpoint(service.url), None)
    assert caught.value.code is ErrorCode.upstream_protocol
