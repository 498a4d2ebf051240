"""The models the service offers and how it lists them (PROTOCOL.md §5). Data, and the paging of it."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Tier: TypeAlias = Literal["free", "paid"]

EFFORT_IN_OUTPUT_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": {
        "output_config": {
            "type": "object",
            "properties": {"effort": {"type": "string", "enum": ["low", "medium", "high", "xhigh", "max"]}},
        }
    },
}
EFFORT_IN_REASONING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {
            "type": "object",
            "properties": {"effort": {"type": "string", "enum": ["low", "medium", "high", "xhigh"]}},
        }
    },
}


class ServedModel(Struct, frozen=True):
    """`extra` is the schema of `additionalModelRequestFields` this model takes, if any."""

    id: str
    name: str
    window: int = 200_000
    output: int = 64_000
    rate: float = 1.0
    images: bool = True
    tier: Tier = "free"
    extra: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "modelId": self.id,
            "modelName": self.name,
            "description": f"{self.name}, simulated",
            "rateMultiplier": self.rate,
            "rateUnit": "Credit",
            "tokenLimits": {"maxInputTokens": self.window, "maxOutputTokens": self.output},
            "supportedInputTypes": ["TEXT", "IMAGE"] if self.images else ["TEXT"],
            "promptCaching": {
                "supportsPromptCaching": True,
                "minimumTokensPerCacheCheckpoint": 1024,
                "maximumCacheCheckpointsPerRequest": 4,
            },
        }
        if self.extra is not None:
            row["additionalModelRequestFieldsSchema"] = self.extra
        return row


DEFAULT = "auto"
MODELS: tuple[ServedModel, ...] = (
    ServedModel("auto", "Auto"),
    ServedModel("claude-sonnet-4.5", "Claude Sonnet 4.5", rate=1.3),
    ServedModel("claude-sonnet-4", "Claude Sonnet 4", rate=1.3),
    ServedModel("claude-haiku-4.5", "Claude Haiku 4.5", rate=0.4),
    ServedModel("deepseek-3.2", "DeepSeek 3.2", window=128_000, rate=0.25, images=False),
    ServedModel("minimax-m2.5", "MiniMax M2.5", rate=0.25, images=False),
    ServedModel("minimax-m2.1", "MiniMax M2.1", rate=0.15, images=False),
    ServedModel("glm-5", "GLM 5", rate=0.5, images=False),
    ServedModel("qwen3-coder-next", "Qwen3 Coder Next", window=256_000, rate=0.05, images=False),
    ServedModel("claude-opus-4.5", "Claude Opus 4.5", rate=2.2, tier="paid"),
    ServedModel("claude-opus-4.6", "Claude Opus 4.6", rate=2.2, tier="paid"),
    ServedModel("claude-sonnet-4.6", "Claude Sonnet 4.6", window=1_000_000, rate=1.3, tier="paid"),
    ServedModel("claude-opus-4.7", "Claude Opus 4.7", window=1_000_000, rate=2.2, tier="paid"),
    ServedModel("claude-opus-4.8", "Claude Opus 4.8", window=1_000_000, rate=2.2, tier="paid"),
    ServedModel("claude-sonnet-5", "Claude Sonnet 5", window=1_000_000, rate=1.3, tier="paid"),
    ServedModel(
        "claude-opus-5",
        "Claude Opus 5",
        window=1_000_000,
        output=128_000,
        rate=2.2,
        tier="paid",
        extra=EFFORT_IN_OUTPUT_CONFIG,
    ),
    ServedModel("gpt-5.6-sol", "GPT-5.6 Sol", window=272_000, tier="paid", extra=EFFORT_IN_REASONING),
    ServedModel("gpt-5.6-terra", "GPT-5.6 Terra", window=272_000, tier="paid", extra=EFFORT_IN_REASONING),
    ServedModel("gpt-5.6-luna", "GPT-5.6 Luna", window=272_000, tier="paid", extra=EFFORT_IN_REASONING),
)
"""The free account's list of 2026-08, then what paid ones had besides. Where §5 says no window or rate, it is ours."""

ALIASES = {
    "claude-4-sonnet": "claude-sonnet-4",
    "CLAUDE_SONNET_4_20250514_V1_0": "claude-sonnet-4",
    "CLAUDE_3_7_SONNET_20250219_V1_0": "claude-sonnet-4",
}
"""Not listed, but served (§5)."""


def offered(tier: Tier) -> list[ServedModel]:
    return [model for model in MODELS if tier == "paid" or model.tier == "free"]


def find(model_id: str, tier: Tier) -> ServedModel | None:
    """The model, if this tier may use it."""
    wanted = ALIASES.get(model_id, model_id)
    return next((model for model in offered(tier) if model.id == wanted), None)


def page(tier: Tier, size: int | None, token: str | None) -> dict[str, Any] | None:
    """One page of the list, None if `token` isn't one of ours. `nextToken` is missing on the last page."""
    if token is not None and not (token.startswith("page-") and token[5:].isdecimal()):
        return None
    start = int(token[5:]) if token is not None else 0
    rows = offered(tier)
    end = start + (size or len(rows))
    answer: dict[str, Any] = {
        "models": [model.row() for model in rows[start:end]],
        "defaultModel": {"modelId": DEFAULT},
    }
    if end < len(rows):
        answer["nextToken"] = f"page-{end}"
    return answer
