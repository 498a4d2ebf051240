"""The service's own words: request and event shapes of GenerateAssistantResponse. Field names are the wire's.

Sources: PROTOCOL.md §2 (request) and §3.2 (events). Requests leave through these structs; events arrive through them.
Unknown members are skipped and `null` is legal everywhere (§3.2), so every event member has a default.
"""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

# --- request (PROTOCOL.md §2) -----------------------------------------------------------------------------------------


class ToolInputSchema(Struct, gc=False):
    json: Raw


class ToolSpecification(Struct, gc=False):
    name: str
    description: str
    inputSchema: ToolInputSchema


class Tool(Struct, gc=False):
    toolSpecification: ToolSpecification


class CachePoint(Struct, frozen=True, gc=False):
    type: Literal["default"] = "default"


class ToolsEnd(Struct, gc=False):
    """An entry of `tools` that is no tool: what comes before it may be cached."""

    cachePoint: CachePoint = CachePoint()


class ToolResultContent(Struct, gc=False):
    text: str


class ToolResult(Struct, gc=False):
    toolUseId: str
    content: list[ToolResultContent]
    status: Literal["success", "error"]


class UserInputMessageContext(Struct, omit_defaults=True, gc=False):
    toolResults: list[ToolResult] | UnsetType = UNSET
    tools: list[Tool | ToolsEnd] | UnsetType = UNSET


class BytesSource(Struct, gc=False):
    bytes: str


class ImageBlock(Struct, gc=False):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: BytesSource


class UserInputMessage(Struct, omit_defaults=True, gc=False):
    content: str
    origin: str
    modelId: str | UnsetType = UNSET
    images: list[ImageBlock] | UnsetType = UNSET
    userInputMessageContext: UserInputMessageContext | UnsetType = UNSET


class ReasoningText(Struct, gc=False):
    text: str
    signature: str


class ReasoningContent(Struct, omit_defaults=True, gc=False):
    reasoningText: ReasoningText | UnsetType = UNSET
    redactedContent: str | UnsetType = UNSET


class ToolUse(Struct, gc=False):
    toolUseId: str
    name: str
    input: Raw


class AssistantResponseMessage(Struct, omit_defaults=True, gc=False):
    content: str
    toolUses: list[ToolUse] | UnsetType = UNSET
    reasoningContent: ReasoningContent | UnsetType = UNSET


class UserTurn(Struct, gc=False):
    """One of the two members of the history's union."""

    userInputMessage: UserInputMessage


class AssistantTurn(Struct, gc=False):
    assistantResponseMessage: AssistantResponseMessage


class ConversationState(Struct, gc=False):
    conversationId: str
    history: list[UserTurn | AssistantTurn]
    currentMessage: UserTurn
    chatTriggerType: Literal["MANUAL"] = "MANUAL"


class GenerateAssistantResponseRequest(Struct, omit_defaults=True, gc=False):
    conversationState: ConversationState
    profileArn: str | UnsetType = UNSET
    additionalModelRequestFields: dict[str, dict[str, str]] | UnsetType = UNSET


# --- events (PROTOCOL.md §3.2) ----------------------------------------------------------------------------------------


class AssistantResponseEvent(Struct, gc=False):
    content: str | None = None


class ReasoningContentEvent(Struct, gc=False):
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None


class ToolUseEvent(Struct, gc=False):
    """`input` is a fragment of JSON text; some captures show the whole object instead (§3.3)."""

    toolUseId: str | None = None
    name: str | None = None
    input: Raw = Raw()
    stop: bool | None = None


class TokenUsage(Struct, gc=False):
    """Counts; as `float` because a number the service writes as `12.0` is one too."""

    uncachedInputTokens: float | None = None
    outputTokens: float | None = None
    totalTokens: float | None = None
    cacheReadInputTokens: float | None = None
    cacheWriteInputTokens: float | None = None
    contextUsagePercentage: float | None = None


class MetadataEvent(Struct, gc=False):
    """`tokenUsage` is a `TokenUsage` or null, read apart from the stop reason."""

    tokenUsage: Raw = Raw()
    stopReason: str | None = None


class ContextUsageEvent(Struct, gc=False):
    contextUsagePercentage: float | None = None


class MeteringEvent(Struct, gc=False):
    usage: float | None = None
    unit: str | None = None


class Span(Struct, gc=False):
    start: int | None = None
    end: int | None = None


class CodeReference(Struct, gc=False):
    licenseName: str | None = None
    repository: str | None = None
    url: str | None = None
    recommendationContentSpan: Span | None = None


class CodeReferenceEvent(Struct, gc=False):
    references: list[CodeReference] | None = None


class SupplementaryWebLink(Struct, gc=False):
    url: str | None = None
    title: str | None = None
    snippet: str | None = None


class SupplementaryWebLinksEvent(Struct, gc=False):
    supplementaryWebLinks: list[SupplementaryWebLink] | None = None


class CitationEvent(Struct, gc=False):
    citationText: str | None = None
    citationLink: str | None = None


class InvalidStateEvent(Struct, gc=False):
    reason: str | None = None
    message: str | None = None


# --- ListAvailableModels (PROTOCOL.md §5) -----------------------------------------------------------------------------


class TokenLimits(Struct, gc=False):
    maxInputTokens: int | None = None
    maxOutputTokens: int | None = None


class ModelRow(Struct, gc=False):
    modelId: str | None = None
    modelName: str | None = None
    description: str | None = None
    rateMultiplier: float | None = None
    tokenLimits: TokenLimits | None = None
    supportedInputTypes: list[str] | None = None
    additionalModelRequestFieldsSchema: Any = None
    promptCaching: Any = None


class ListAvailableModelsResponse(Struct, gc=False):
    models: list[ModelRow] | None = None
    nextToken: str | None = None


# --- usage limits (PROTOCOL.md §8.2) ----------------------------------------------------------------------------------


class UsageLimit(Struct, gc=False):
    """`currentUsageLimit` is an older service's name for the total."""

    type: str | None = None
    currentUsage: float | None = None
    totalUsageLimit: float | None = None
    currentUsageLimit: float | None = None


class Subscription(Struct, gc=False):
    type: str | None = None
    subscriptionTitle: str | None = None


class OverageConfiguration(Struct, gc=False):
    overageStatus: str | None = None


class FreeTrialInfo(Struct, gc=False):
    freeTrialStatus: str | None = None
    freeTrialExpiry: float | None = None
    currentUsage: float | None = None
    currentUsageWithPrecision: float | None = None
    usageLimit: float | None = None
    usageLimitWithPrecision: float | None = None


class Bonus(Struct, gc=False):
    bonusCode: str | None = None
    displayName: str | None = None
    status: str | None = None
    currentUsage: float | None = None
    usageLimit: float | None = None
    expiresAt: float | None = None


class UserInfo(Struct, gc=False):
    userId: str | None = None
    email: str | None = None


class UsageBreakdown(Struct, gc=False):
    """One resource. A figure `WithPrecision` goes before the one without."""

    resourceType: str | None = None
    displayName: str | None = None
    displayNamePlural: str | None = None
    unit: str | None = None
    currentUsage: float | None = None
    currentUsageWithPrecision: float | None = None
    usageLimit: float | None = None
    usageLimitWithPrecision: float | None = None
    currentOverages: float | None = None
    currentOveragesWithPrecision: float | None = None
    overageRate: float | None = None
    overageCharges: float | None = None
    currency: str | None = None
    nextDateReset: float | None = None
    freeTrialInfo: FreeTrialInfo | None = None
    bonuses: list[Bonus] | None = None


class UsageLimits(Struct, gc=False):
    """The answer of GetUsageLimits."""

    nextDateReset: float | None = None
    limits: list[UsageLimit] | None = None
    subscriptionInfo: Subscription | None = None
    overageConfiguration: OverageConfiguration | None = None
    usageBreakdownList: list[UsageBreakdown] | None = None
    userInfo: UserInfo | None = None
