"""Requests as a correct client would write them, and replies as AWS's own decoder reads them."""

import copy
import json
from typing import Any

import httpx
from botocore.eventstream import EventStreamBuffer  # pyright: ignore[reportMissingTypeStubs] -- has none

from qrelay.simulator.oidc import Login
from qrelay.simulator.server import Simulator

TARGET = "AmazonCodeWhispererStreamingService.GenerateAssistantResponse"


def tool(name: str, properties: dict[str, Any] | None = None, required: list[str] | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties or {}}
    if required:
        schema["required"] = required
    return {"toolSpecification": {"name": name, "description": f"It is {name}.", "inputSchema": {"json": schema}}}


def user(content: str = "Hi", **context: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"content": content, "origin": "CLI"}
    if context:
        message["userInputMessageContext"] = context
    return {"userInputMessage": message}


def assistant(content: str = "Hello", **members: Any) -> dict[str, Any]:
    return {"assistantResponseMessage": {"content": content, **members}}


def use(identity: str = "tooluse_1", name: str = "ls", **arguments: Any) -> dict[str, Any]:
    return {"toolUseId": identity, "name": name, "input": arguments}


def result(identity: str = "tooluse_1", text: str = "a.txt", status: str = "success") -> dict[str, Any]:
    return {"toolUseId": identity, "status": status, "content": [{"text": text}]}


def request(*turns: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The last turn is the current message."""
    *history, current = [copy.deepcopy(turn) for turn in turns]
    current["userInputMessage"].setdefault("modelId", "claude-sonnet-4.5")
    state = {
        "conversationId": "c-1",
        "chatTriggerType": "MANUAL",
        "history": history,
        "currentMessage": current,
    }
    return {"conversationState": state, **members}


def tool_round() -> dict[str, Any]:
    """PROTOCOL.md §2.5: a whole tool round trip."""
    return request(
        user("What is in the folder?"),
        assistant("Let me look.", toolUses=[use(path="/a")]),
        user("", toolResults=[result()], tools=[tool("ls", {"path": {"type": "string"}})]),
    )


class Caller:
    """A client of a simulator, logged in."""

    def __init__(self, simulator: Simulator, http: httpx.AsyncClient, login: Login | None = None) -> None:
        self.simulator = simulator
        self.http = http
        self.login = login or simulator.add_account()

    def headers(self, **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.login.access_token}", **more}

    async def chat(
        self, body: Any = None, *, rest: bool = False, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """A chat request, with `Hi` unless a body is given (bytes are sent as they are)."""
        body = request(user()) if body is None else body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = self.simulator.url + ("/generateAssistantResponse" if rest else "/")
        binding = (
            {"content-type": "application/json"}
            if rest
            else {"content-type": "application/x-amz-json-1.0", "x-amz-target": TARGET}
        )
        return await self.http.post(
            url, content=content, headers=self.headers(**binding) if headers is None else {**binding, **headers}
        )

    async def events(self, body: Any = None, *, rest: bool = False) -> list[tuple[str, dict[str, Any]]]:
        response = await self.chat(body, rest=rest)
        assert response.status_code == 200, response.text
        return decoded(response.content)


def frames(data: bytes) -> list[Any]:
    """AWS's own decoder; it raises on damage."""
    buffer: Any = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def decoded(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(event type, payload) of each frame; an exception's or error's type stands in the same place."""
    events: list[tuple[str, dict[str, Any]]] = []
    for frame in frames(data):
        headers: dict[str, str] = frame.headers
        kind = headers.get(":event-type") or headers.get(":exception-type") or headers[":error-code"]
        events.append((kind, json.loads(frame.payload or b"{}")))
    return events


def text_of(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(payload["content"] for kind, payload in events if kind == "assistantResponseEvent")


def tool_uses(events: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The tool uses of a reply, as they go into the history. Only the four-step form is understood here."""
    inputs: dict[str, str] = {}
    names: dict[str, str] = {}
    for kind, payload in events:
        if kind == "toolUseEvent":
            names[payload["toolUseId"]] = payload["name"]
            inputs[payload["toolUseId"]] = inputs.get(payload["toolUseId"], "") + payload.get("input", "")
    return [
        {"toolUseId": identity, "name": name, "input": json.loads(inputs[identity] or "{}")}
        for identity, name in names.items()
    ]


def stop_reason(events: list[tuple[str, dict[str, Any]]]) -> str:
    return next(payload["stopReason"] for kind, payload in events if kind == "metadataEvent")
