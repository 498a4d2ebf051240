"""The service's own words: request and event shapes of GenerateAssistantResponse. Field names are the wire's.

Sources: PROTOCOL.md §2 (request) and §3.2 (events). Requests leave through these structs; events arrive through them.
Unknown members are skipped and `null` is legal everywhere (§3.2), so every event member has a default.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

# --- request (PROTOCOL.md §2) -----------------------------------------------------------------------------------------


class ToolInputSchema(Struct):
    json: Raw


class ToolSpecification(Struct):
    name: str
    description: str
    inputSchema: ToolInputSchema


class Tool(Struct):
    toolSpecification: ToolSpecification


class ToolResultContent(Struct):
    text: str


class ToolResult(Struct):
    toolUseId: str
    content: list[ToolResultContent]
    status: Literal["success", "error"]


class UserInputMessageContext(Struct, omit_defaults=True):
    toolResults: list[ToolResult] | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET


class BytesSource(Struct):
    bytes: str


class ImageBlock(Struct):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: BytesSource


class UserInputMessage(Struct, omit_defaults=True):
    content: str
    origin: str
    modelId: str | UnsetType = UNSET
    images: list[ImageBlock] | UnsetType = UNSET
    userInputMessageContext: UserInputMessageContext | UnsetType = UNSET


class ReasoningText(Struct):
    text: str
    signature: str


class ReasoningContent(Struct, omit_defaults=True):
    reasoningText: ReasoningText | UnsetType = UNSET
    redactedContent: str | UnsetType = UNSET


class ToolUse(Struct):
    toolUseId: str
    name: str
    input: Raw


class AssistantResponseMessage(Struct, omit_defaults=True):
    content: str
    toolUses: list[ToolUse] | UnsetType = UNSET
    reasoningContent: ReasoningContent | UnsetType = UNSET


class UserTurn(Struct):
    """One of the two members of the history's union."""

    userInputMessage: UserInputMessage


class AssistantTurn(Struct):
    assistantResponseMessage: AssistantResponseMessage


class ConversationState(Struct):
    conversationId: str
    history: list[UserTurn | AssistantTurn]
    currentMessage: UserTurn
    chatTriggerType: Literal["MANUAL"] = "MANUAL"


class GenerateAssistantResponseRequest(Struct, omit_defaults=True):
    conversationState: ConversationState
    profileArn: str | UnsetType = UNSET
    additionalModelRequestFields: Raw | UnsetType = UNSET


# --- events (PROTOCOL.md §3.2) ----------------------------------------------------------------------------------------


class AssistantResponseEvent(Struct):
    content: str | None = None


class ReasoningContentEvent(Struct):
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None


class ToolUseEvent(Struct):
    """`input` is a fragment of JSON text; some captures show the whole object instead (§3.3)."""

    toolUseId: str | None = None
    name: str | None = None
    input: Raw = Raw()
    stop: bool | None = None


class TokenUsage(Struct):
    """Counts; as `float` because a number the service writes as `12.0` is one too."""

    uncachedInputTokens: float | None = None
    outputTokens: float | None = None
    totalTokens: float | None = None
    cacheReadInputTokens: float | None = None
    cacheWriteInputTokens: float | None = None
    contextUsagePercentage: float | None = None


class MetadataEvent(Struct):
    """`tokenUsage` is a `TokenUsage` or null, read apart from the stop reason."""

    tokenUsage: Raw = Raw()
    stopReason: str | None = None


class ContextUsageEvent(Struct):
    contextUsagePercentage: float | None = None


class MeteringEvent(Struct):
    usage: float | None = None
    unit: str | None = None


class Span(Struct):
    start: int | None = None
    end: int | None = None


class CodeReference(Struct):
    licenseName: str | None = None
    repository: str | None = None
    url: str | None = None
    recommendationContentSpan: Span | None = None


class CodeReferenceEvent(Struct):
    references: list[CodeReference] | None = None


class SupplementaryWebLink(Struct):
    url: str | None = None
    title: str | None = None
    snippet: str | None = None


class SupplementaryWebLinksEvent(Struct):
    supplementaryWebLinks: list[SupplementaryWebLink] | None = None


class InvalidStateEvent(Struct):
    reason: str | None = None
    message: str | None = None


# --- ListAvailableModels (PROTOCOL.md §5) -----------------------------------------------------------------------------


class TokenLimits(Struct):
    maxInputTokens: int | None = None
    maxOutputTokens: int | None = None


class ModelRow(Struct):
    modelId: str | None = None
    modelName: str | None = None
    description: str | None = None
    rateMultiplier: float | None = None
    tokenLimits: TokenLimits | None = None
    supportedInputTypes: list[str] | None = None


class ListAvailableModelsResponse(Struct):
    models: list[ModelRow] | None = None
    nextToken: str | None = None


# --- usage limits (PROTOCOL.md §8.2) ----------------------------------------------------------------------------------


class UsageLimit(Struct):
    """`currentUsageLimit` is an older service's name for the total."""

    type: str | None = None
    currentUsage: float | None = None
    totalUsageLimit: float | None = None
    currentUsageLimit: float | None = None


class Subscription(Struct):
    type: str | None = None
    subscriptionTitle: str | None = None


class OverageConfiguration(Struct):
    overageStatus: str | None = None


class FreeTrialInfo(Struct):
    freeTrialStatus: str | None = None
    freeTrialExpiry: float | None = None
    currentUsage: float | None = None
    currentUsageWithPrecision: float | None = None
    usageLimit: float | None = None
    usageLimitWithPrecision: float | None = None


class Bonus(Struct):
    bonusCode: str | None = None
    displayName: str | None = None
    status: str | None = None
    currentUsage: float | None = None
    usageLimit: float | None = None
    expiresAt: float | None = None


class UserInfo(Struct):
    userId: str | None = None
    email: str | None = None


class UsageBreakdown(Struct):
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


class UsageLimits(Struct):
    """The answer of GetUsageLimits."""

    nextDateReset: float | None = None
    limits: list[UsageLimit] | None = None
    subscriptionInfo: Subscription | None = None
    overageConfiguration: OverageConfiguration | None = None
    usageBreakdownList: list[UsageBreakdown] | None = None
    userInfo: UserInfo | None = None
