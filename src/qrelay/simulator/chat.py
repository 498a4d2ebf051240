"""GenerateAssistantResponse and SendMessage: who asks, is it well formed, then the answer (PROTOCOL.md §2, §3).

bearer, tokentype  ->  403          before anything else (§2.6 rule 19)
JSON, rules        ->  400
profile ARN        ->  400, 403     (§8.1)
model, its fields  ->  400          after the body (rule 19)
then what was queued, else the built-in model
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Scope, Send

from qrelay.simulator import model, models, schema
from qrelay.simulator import scenario as play
from qrelay.simulator.counting import count_tokens
from qrelay.simulator.errors import CATALOGUE, Placement, ServiceError
from qrelay.simulator.player import EVENT_STREAM, Line, error_answer, play_steps, watched
from qrelay.simulator.service import Account, RecordedRequest, Service
from qrelay.simulator.validation import check

CREDITS_PER_TOKEN = 0.00005
ChatRequest: TypeAlias = schema.GenerateAssistantResponseRequest | schema.SendMessageRequest


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """The request gets an error. `name` is what the record calls it: a rule, or a row of the catalogue."""

    def __init__(self, name: str, error: ServiceError | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.error = error or CATALOGUE[name]


class Admitted(NamedTuple):
    account: Account
    request: ChatRequest
    model: models.ServedModel
    tokens: int


class ChatAnswer:
    """The ASGI response to one recorded chat request."""

    def __init__(self, service: Service, recorded: RecordedRequest) -> None:
        self._service = service
        self._recorded = recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        recorded = self._recorded
        size = None
        try:
            admitted = admit(self._service, recorded)
        except Refused as refused:
            recorded.refusal = refused.name
            scenario = play.Scenario()
            answer = _Refusal(refused.error, None)
        else:
            scenario = self._service.queued.popleft() if self._service.queued else play.Scenario([play.Model()])
            recorded.scenario = scenario.name or None
            size = scenario.bytes_per_write or self._service.options.bytes_per_write
            answer = self._answer(scenario, admitted)
        line = Line(scope, receive, send, size)
        try:
            await watched(line, lambda: self._play(line, scenario, answer))
        finally:
            recorded.disconnected = line.client_left
            recorded.finished = line.ended
            recorded.over.set()

    def _answer(self, scenario: play.Scenario, admitted: Admitted) -> "_Refusal | play.Respond | list[play.Step]":
        match scenario.steps:
            case [play.Refuse() as refuse]:
                self._recorded.refusal = refuse.error
                return _Refusal(CATALOGUE[refuse.error], refuse.placement, refuse.headers)
            case [play.Respond() as respond]:
                return respond
            case _:
                return list(self._steps(scenario, admitted))

    async def _play(
        self, line: Line, scenario: play.Scenario, answer: "_Refusal | play.Respond | list[play.Step]"
    ) -> None:
        recorded, options = self._recorded, self._service.options
        await line.wait(scenario.delay)
        headers = {"x-amzn-requestid": self._service.new_uuid()}
        if isinstance(answer, list):
            recorded.status = 200
            headers["content-type"] = EVENT_STREAM
            if recorded.binding == "restJson":
                headers["x-amzn-codewhisperer-conversation-id"] = self._conversation_id()
            await line.start(200, headers | scenario.headers)
            await play_steps(line, answer, options.word_delay)
            return
        if isinstance(answer, _Refusal):
            default: Placement = "body" if recorded.binding == "awsJson" else "header"
            status = answer.error.status
            more, body = error_answer(answer.error, answer.placement or options.error_placement or default)
            headers |= {**more, **answer.headers}
        else:
            status, body = answer.status, answer.body.encode()
            headers |= answer.headers
        recorded.status = status
        await line.start(status, headers | {"content-length": str(len(body))})
        await line.write(body)
        await line.end()

    def _conversation_id(self) -> str:
        return self._recorded.state.get("conversationId") or self._service.new_uuid()

    def _steps(self, scenario: play.Scenario, admitted: Admitted) -> Iterator[play.Step]:
        if self._recorded.binding == "awsJson" and scenario.initial_response:
            yield play.Event("initial-response", {"conversationId": self._conversation_id()})
        if isinstance(admitted.request, schema.SendMessageRequest) and admitted.request.dryRun is True:
            yield play.Event("dryRunSucceedEvent")
            return
        output = 1
        for step in scenario.steps:
            if isinstance(step, play.Model):
                seed = f"{self._service.options.seed} {self._recorded.number}"
                reply = model.answer(admitted.request.conversationState, admitted.model.id, seed)
                output = reply.output_tokens
                for inner in reply.steps(self._service.options.tail):
                    yield from self._tail(inner, admitted, output) if isinstance(inner, play.Tail) else (inner,)
            elif isinstance(step, play.Tail):
                yield from self._tail(step, admitted, output)
            else:
                yield step

    def _tail(self, tail: play.Tail, admitted: Admitted, output: int) -> Iterator[play.Step]:
        total = admitted.tokens + output
        percentage = round(100 * total / admitted.model.window, 4)
        if tail.metadata:
            payload: dict[str, Any] = {}
            if tail.stop_reason is not None:
                payload["stopReason"] = tail.stop_reason
            if tail.token_usage:
                payload["tokenUsage"] = {
                    "uncachedInputTokens": admitted.tokens,
                    "outputTokens": output,
                    "totalTokens": total,
                    "contextUsagePercentage": percentage,
                }
            yield play.Event("metadataEvent", payload)
        if tail.context_usage:
            yield play.Event("contextUsageEvent", {"contextUsagePercentage": percentage})
        if tail.metering:
            used = round(total * CREDITS_PER_TOKEN * admitted.model.rate, 6)
            admitted.account.credits_used += used
            yield play.Event("meteringEvent", {"usage": used, "unit": "credit", "unitPlural": "credits"})


class _Refusal(NamedTuple):
    error: ServiceError
    placement: Placement | None
    headers: Mapping[str, str] = MappingProxyType({})


def admit(service: Service, recorded: RecordedRequest) -> Admitted:
    """Everything that is asked before an answer. Raises Refused."""
    check_open(service, recorded)
    account = authenticate(service, recorded)
    if recorded.body is None:
        raise Refused("request_body_invalid_json")
    request = _validated(service, recorded)
    check_profile_arn(service, account, None if request.profileArn is UNSET else request.profileArn, recorded.host)
    if account.refusal is not None:
        raise Refused(account.refusal)
    current = request.conversationState.currentMessage.userInputMessage
    wanted = models.DEFAULT if current is UNSET or current.modelId is UNSET else current.modelId
    served = models.find(wanted, account.tier)
    if served is None:
        raise Refused("invalid_model_id")
    tokens = count_tokens(request.conversationState)
    if tokens > served.window:
        raise Refused("content_length_exceeds_threshold")
    if isinstance(request, schema.GenerateAssistantResponseRequest):
        _check_fields(request, served)
    return Admitted(account, request, served, tokens)


def authenticate(service: Service, recorded: RecordedRequest) -> Account:
    """Whose request it is. Raises Refused (`bearer_invalid`)."""
    account = service.who(recorded.headers)
    if account is None:
        raise Refused("bearer_invalid")
    recorded.account = account.name
    return account


def check_open(service: Service, recorded: RecordedRequest) -> None:
    """A host may be closed to everybody. Raises Refused."""
    if recorded.host in service.closed:
        raise Refused(service.closed[recorded.host])


def check_profile_arn(service: Service, account: Account, arn: str | None, host: str) -> None:
    """An ARN must be the account's own, and some accounts must send one (PROTOCOL.md §8.1). Raises Refused."""
    policy = service.options.profile_arn
    if policy == "ignored" or account is service.anybody:
        return
    if arn is None:
        kiro = policy == "by_host" and host != "q" and account.kind != "api_key"
        if policy == "required" or kiro or account.kind == "identity_center":
            raise Refused("profile_arn_required")
    elif arn not in account.profiles:
        raise Refused("bearer_invalid")


def _validated(service: Service, recorded: RecordedRequest) -> ChatRequest:
    send_message = recorded.operation == "SendMessage"
    options = service.options
    violation = check(
        recorded.body,
        len(recorded.raw),
        send_message=send_message,
        limits=options.limits,
        signed=model.is_signed,
        user_agent=recorded.headers.get("user-agent", ""),
    )
    if violation is not None:
        recorded.violation = violation
        raise Refused(violation.rule, violation.in_style(options.validation))
    shape = schema.SendMessageRequest if send_message else schema.GenerateAssistantResponseRequest
    return msgspec.convert(recorded.body, shape)


def _check_fields(request: schema.GenerateAssistantResponseRequest, served: models.ServedModel) -> None:
    """`additionalModelRequestFields` must be what the model's own schema says (PROTOCOL.md §2.1)."""
    if request.additionalModelRequestFields is UNSET:
        return
    known: dict[str, Any] = (served.extra or {}).get("properties", {})
    for name, value in request.additionalModelRequestFields.items():
        if name not in known or not isinstance(value, dict):
            raise Refused("request_body_invalid")
        for inner, choice in cast("dict[str, object]", value).items():
            if choice not in known[name]["properties"].get(inner, {}).get("enum", ()):
                raise Refused("request_body_invalid")
