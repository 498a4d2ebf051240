"""What a request may look like, member by member (PROTOCOL.md §2.1 to §2.4). Field names are the wire's.

Stricter than the gateway's own types on purpose: every documented member with its limits, and no other. A member is
there or it isn't: `null` is refused.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

Uuid: TypeAlias = Annotated[str, Meta(min_length=36, max_length=36)]
ToolUseId: TypeAlias = Annotated[str, Meta(max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
ToolName: TypeAlias = Annotated[str, Meta(max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
Blob: TypeAlias = Annotated[str, Meta(min_length=1)]
Object: TypeAlias = dict[str, Any]

Origin: TypeAlias = Literal[
    "AI_EDITOR", "CHATBOT", "CLI", "CONSOLE", "DOCUMENTATION", "GITLAB", "IDE", "INLINE_CHAT", "KIRO_CLI", "KIRO_WEB",
    "MARKETING", "MD", "MD_CE", "MD_IDE", "MOBILE", "OPENSEARCH_DASHBOARD", "Q_DEV_BEXT", "SAGE_MAKER",
    "SERVICE_INTERNAL", "SM_AI_STUDIO_IDE", "UNIFIED_SEARCH", "UNKNOWN",
]  # fmt: skip
UserIntent: TypeAlias = Literal[
    "EXPLAIN_CODE_SELECTION", "SUGGEST_ALTERNATE_IMPLEMENTATION", "APPLY_COMMON_BEST_PRACTICES", "IMPROVE_CODE",
    "SHOW_EXAMPLES", "CITE_SOURCES", "EXPLAIN_LINE_BY_LINE", "GENERATE_CLOUDFORMATION_TEMPLATE",
    "GENERATE_UNIT_TESTS", "CODE_GENERATION",
]  # fmt: skip
DocumentFormat: TypeAlias = Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]


class Strict(Struct, forbid_unknown_fields=True):
    """No member that the documentation doesn't know."""


class CachePoint(Strict):
    type: Literal["default"]


# --- tools ------------------------------------------------------------------------------------------------------------


class ToolInputSchema(Strict):
    json: Object


class ToolSpecification(Strict):
    name: ToolName
    description: Annotated[str, Meta(min_length=1, max_length=10_240)]
    inputSchema: ToolInputSchema


class Tool(Strict):
    """A union: exactly one member."""

    toolSpecification: Maybe[ToolSpecification] = UNSET
    cachePoint: Maybe[CachePoint] = UNSET


class ToolResultContent(Strict):
    """A union: exactly one member."""

    text: Maybe[Annotated[str, Meta(max_length=10_000_000)]] = UNSET
    json: Maybe[Object] = UNSET


class ToolResult(Strict):
    toolUseId: ToolUseId
    content: list[ToolResultContent]
    status: Maybe[Literal["success", "error"]] = UNSET
    toolName: Maybe[ToolName] = UNSET


class ToolUse(Strict):
    toolUseId: ToolUseId
    name: ToolName
    input: Object


# --- a user's message -------------------------------------------------------------------------------------------------


class BytesSource(Strict):
    bytes: Blob


class Image(Strict):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: BytesSource


class Document(Strict):
    name: str
    format: DocumentFormat
    source: BytesSource


class EnvironmentVariable(Strict):
    key: Maybe[Annotated[str, Meta(min_length=1, max_length=256)]] = UNSET
    value: Maybe[Annotated[str, Meta(max_length=1024)]] = UNSET


class EnvState(Strict):
    operatingSystem: Maybe[Literal["macos", "linux", "windows"]] = UNSET
    currentWorkingDirectory: Maybe[Annotated[str, Meta(min_length=1, max_length=256)]] = UNSET
    environmentVariables: Maybe[Annotated[list[EnvironmentVariable], Meta(max_length=100)]] = UNSET
    timezoneOffset: Maybe[Annotated[int, Meta(ge=-1440, le=1440)]] = UNSET


class AdditionalContext(Strict):
    name: Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[a-z]+(-[a-z0-9]+)*\Z")]
    description: Annotated[str, Meta(min_length=1, max_length=1024)]
    innerContext: Annotated[str, Meta(min_length=1, max_length=8192)]


class UserInputMessageContext(Strict):
    """The members a gateway doesn't need are taken as any object."""

    tools: Maybe[list[Tool]] = UNSET
    toolResults: Maybe[list[ToolResult]] = UNSET
    envState: Maybe[EnvState] = UNSET
    additionalContext: Maybe[Annotated[list[AdditionalContext], Meta(max_length=20)]] = UNSET
    editorState: Maybe[Object] = UNSET
    shellState: Maybe[Object] = UNSET
    gitState: Maybe[Object] = UNSET
    appStudioContext: Maybe[Object] = UNSET
    diagnostic: Maybe[Object] = UNSET
    consoleState: Maybe[Object] = UNSET
    userSettings: Maybe[Object] = UNSET


class ClientCacheConfig(Strict):
    useClientCachingOnly: Maybe[bool] = UNSET


class UserInputMessage(Strict):
    content: Annotated[str, Meta(max_length=10_000_000)]
    modelId: Maybe[Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[a-zA-Z0-9_:.-]+\Z")]] = UNSET
    origin: Maybe[Origin] = UNSET
    userIntent: Maybe[UserIntent] = UNSET
    images: Maybe[list[Image]] = UNSET
    documents: Maybe[list[Document]] = UNSET
    cachePoint: Maybe[CachePoint] = UNSET
    clientCacheConfig: Maybe[ClientCacheConfig] = UNSET
    userInputMessageContext: Maybe[UserInputMessageContext] = UNSET


# --- an assistant's message -------------------------------------------------------------------------------------------


class ReasoningText(Strict):
    text: str
    signature: Maybe[str] = UNSET


class ReasoningContent(Strict):
    """A union: exactly one member."""

    reasoningText: Maybe[ReasoningText] = UNSET
    redactedContent: Maybe[Blob] = UNSET


class AssistantResponseMessage(Strict):
    content: str
    messageId: Maybe[Annotated[str, Meta(max_length=128)]] = UNSET
    toolUses: Maybe[list[ToolUse]] = UNSET
    reasoningContent: Maybe[ReasoningContent] = UNSET
    cachePoint: Maybe[CachePoint] = UNSET
    references: Maybe[Annotated[list[Object], Meta(max_length=10)]] = UNSET
    supplementaryWebLinks: Maybe[Annotated[list[Object], Meta(max_length=10)]] = UNSET
    followupPrompt: Maybe[Object] = UNSET


# --- the envelope -----------------------------------------------------------------------------------------------------


class Message(Strict):
    """A union: exactly one member."""

    userInputMessage: Maybe[UserInputMessage] = UNSET
    assistantResponseMessage: Maybe[AssistantResponseMessage] = UNSET


class ConversationState(Strict):
    currentMessage: Message
    chatTriggerType: Literal["MANUAL", "DIAGNOSTIC", "INLINE_CHAT"]
    conversationId: Maybe[Annotated[str, Meta(min_length=1, max_length=128)]] = UNSET
    history: list[Message] = []
    customizationArn: Maybe[str] = UNSET
    workspaceId: Maybe[Uuid] = UNSET
    agentContinuationId: Maybe[Uuid] = UNSET
    agentTaskType: Maybe[Literal["vibe", "spectask"]] = UNSET


PROFILE_ARN = r"^arn:aws:(codewhisperer|transform):[-.a-z0-9]{1,63}:\d{12}:profile/([a-zA-Z0-9]){12}\Z"
ProfileArn: TypeAlias = Annotated[str, Meta(max_length=950, pattern=PROFILE_ARN)]


class GenerateAssistantResponseRequest(Strict):
    conversationState: ConversationState
    profileArn: Maybe[ProfileArn] = UNSET
    agentMode: Maybe[str] = UNSET
    additionalModelRequestFields: Maybe[Object] = UNSET


class SendMessageRequest(Strict):
    conversationState: ConversationState
    profileArn: Maybe[ProfileArn] = UNSET
    source: Maybe[Origin] = UNSET
    dryRun: Maybe[bool] = UNSET


# --- reading ----------------------------------------------------------------------------------------------------------


def context_of(message: UserInputMessage) -> UserInputMessageContext:
    return given(message.userInputMessageContext, UserInputMessageContext())


def given(member: T | UnsetType, otherwise: T) -> T:
    return otherwise if member is UNSET else member
