"""Coding agents: each is told to write the marker file, and must do so through its own tools and end well.

How they are run and what they need: CLIENTS.md (d), A1, A2.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

from install import CLAUDE_CODE, CODEX, OPENCODE, program
from room import KEY, Failure, Outcome, Room, Skip

MODEL = "claude-sonnet-4-5"

# --- Claude Code ------------------------------------------------------------------------------------------------------


def claude_code(room: Room) -> None:
    outcome = _claude(room, "Write the marker file.", "--output-format", "json", "--model", MODEL)
    _expect_done(_object(outcome.out))
    room.expect_marker(outcome)


def claude_code_default_model(room: Room) -> None:
    """Its default model brings system messages inside the conversation."""
    outcome = _claude(room, "Write the marker file.", "--output-format", "json")
    _expect_done(_object(outcome.out))
    room.expect_marker(outcome)


def claude_code_streamed(room: Room) -> None:
    shown = ("--output-format", "stream-json", "--include-partial-messages", "--verbose")
    outcome = _claude(room, "Write the marker file.", "--model", MODEL, *shown)
    events = [_object(line) for line in outcome.out.splitlines() if line.strip()]
    _expect_done(events[-1])
    partial = [event["event"]["type"] for event in events if event.get("type") == "stream_event"]
    for kind in ("message_start", "content_block_delta", "message_delta", "message_stop"):
        if kind not in partial:
            raise Failure(f"no {kind} among {len(partial)} partial events")
    room.expect_marker(outcome)


def claude_code_context(room: Room) -> None:
    """It counts tokens by many requests at once."""
    if not room.server.has("/v1/messages/count_tokens"):
        raise Skip("no /v1/messages/count_tokens yet")
    outcome = _claude(room, "/context", "--output-format", "json", "--model", MODEL)
    result = _object(outcome.out)
    _expect_done(result)
    if "tokens" not in str(result.get("result")).lower():
        raise Failure(f"no count of tokens in {result.get('result')!r}")


def _claude(room: Room, prompt: str, *options: str) -> Outcome:
    command = [program("claude", CLAUDE_CODE), "-p", prompt, *options, "--allowedTools", "Bash Read Write"]
    env = {
        "ANTHROPIC_BASE_URL": room.server.url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    }
    return room.run(command, env)


def _expect_done(result: dict[str, Any]) -> None:
    if result.get("is_error") is not False or result.get("subtype") != "success":
        raise Failure(f"it ended with {json.dumps(result)[:1500]}")


# --- opencode ---------------------------------------------------------------------------------------------------------


def opencode_messages(room: Room) -> None:
    _opencode(room, "@ai-sdk/anthropic")


def opencode_chat(room: Room) -> None:
    _opencode(room, "@ai-sdk/openai-compatible")


def opencode_responses(room: Room) -> None:
    _need_responses(room)
    _opencode(room, "@ai-sdk/openai")


def _opencode(room: Room, provider: str) -> None:
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {
            "gateway": {
                "npm": provider,
                "name": "gateway",
                "options": {"baseURL": f"{room.server.url}/v1", "apiKey": KEY},
                "models": {MODEL: {"name": MODEL, "tool_call": True, "limit": {"context": 200_000, "output": 8_192}}},
            }
        },
        "small_model": f"gateway/{MODEL}",
        "permission": {"bash": "allow", "edit": "allow"},
    }
    (room.work / "opencode.json").write_text(json.dumps(config))
    command: Sequence[Any] = (
        program("opencode", OPENCODE),
        *("run", "--format", "json", "--model", f"gateway/{MODEL}", "Write the marker file with bash"),
    )
    env = {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    outcome = room.run(command, env, 120)
    kinds = [_object(line).get("type") for line in outcome.out.splitlines() if line.startswith("{")]
    if "error" in kinds or "tool_use" not in kinds or not kinds or kinds[-1] != "step_finish":
        raise Failure(f"it reported {kinds}\n{outcome.out[-1500:]}")
    room.expect_marker(outcome)


# --- Codex ------------------------------------------------------------------------------------------------------------

_CODEX_CONFIG = """\
model = "{model}"
model_provider = "gateway"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.gateway]
name = "{name}"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
"""


def codex(room: Room) -> None:
    _need_responses(room)
    _configure_codex(room, "gateway")
    room.expect_marker(_codex(room, "exec", "Write the marker file using the shell."))


def codex_compacts(room: Room) -> None:
    """A provider called OpenAI is asked for the summary itself, by a `compaction_trigger`."""
    _need_responses(room)
    _configure_codex(room, "OpenAI")
    _codex(room, "exec", "Remember the word slate.")
    _codex(room, "exec", "resume", "--last", "-c", "model_auto_compact_token_limit=1", "Which word?")
    sessions = "".join(path.read_text() for path in (room.home / ".codex" / "sessions").rglob("*.jsonl"))
    compacted = [line for line in sessions.splitlines() if '"type":"compacted"' in line]
    if not any('"type":"compaction"' in line and '"encrypted_content":"summary.' in line for line in compacted):
        raise Failure(f"no compaction of ours in its session\n{sessions[-1500:]}")


def _configure_codex(room: Room, name: str) -> None:
    (room.home / ".codex").mkdir()
    config = _CODEX_CONFIG.format(model=MODEL, url=room.server.url, name=name)
    (room.home / ".codex" / "config.toml").write_text(config)


def _codex(room: Room, *words: str) -> Outcome:
    *command, prompt = words
    shown = ["--skip-git-repo-check", "--json"]
    outcome = room.run([program("codex", CODEX), *command, *shown, prompt], {"GATEWAY_KEY": KEY})
    lines = [line for line in outcome.out.splitlines() if line.startswith("{")]
    if not lines or _object(lines[-1]).get("type") != "turn.completed":
        raise Failure(f"its last event is not turn.completed\n{outcome.out[-1500:]}")
    return outcome


def _need_responses(room: Room) -> None:
    if not room.server.has("/v1/responses"):
        raise Skip("no /v1/responses yet")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise Failure(f"not JSON: {text[:500]!r}") from None
    if not isinstance(value, dict):
        raise Failure(f"not a JSON object: {text[:500]!r}")
    return cast("dict[str, Any]", value)
