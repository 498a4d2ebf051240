// The lines that make a client use this gateway, as docs/guide/first-clients.md has them (a test compares the two).
// {url} is this gateway's address, {key} a key for it.

/** @typedef {{how: string, text: string, what?: string}} Line `how` is a key under "overview.connect" */

/** @type {{id: string, name: string, lines: Line[]}[]} */
export const CLIENTS = [
  {
    id: "claude",
    name: "Claude Code",
    lines: [
      { how: "command", text: "qrelay claude" },
      { how: "hand", text: "ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key} claude --model claude-sonnet-4-5" },
    ],
  },
  {
    id: "codex",
    name: "Codex",
    lines: [
      { how: "command", text: "qrelay codex" },
      {
        how: "codex",
        text: `model = "claude-sonnet-4-5"
model_provider = "qrelay"

[model_providers.qrelay]
name = "qrelay"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"`,
      },
      { how: "then", text: "GATEWAY_KEY={key} codex" },
    ],
  },
  {
    id: "opencode",
    name: "opencode",
    lines: [
      { how: "command", text: "qrelay opencode" },
      {
        how: "opencode",
        text: `{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "qrelay": {
      "npm": "@ai-sdk/anthropic",
      "name": "qrelay",
      "options": {"baseURL": "{url}/v1", "apiKey": "{key}"},
      "models": {"claude-sonnet-4-5": {"name": "Claude Sonnet 4.5", "tool_call": true}}
    }
  },
  "small_model": "qrelay/claude-sonnet-4-5"
}`,
      },
      { how: "then", text: "opencode --model qrelay/claude-sonnet-4-5" },
    ],
  },
  {
    id: "cursor",
    name: "Cursor",
    lines: [
      { how: "cursor", text: "https://your.name/v1" },
      { how: "model", text: "claude-sonnet-4-5" },
    ],
  },
  {
    id: "cline",
    name: "Cline",
    lines: [
      { how: "cline", text: "{url}/v1" },
      {
        how: "terminal",
        text: "cline auth openai-compatible --apikey {key} --modelid claude-sonnet-4-5 --baseurl {url}/v1",
      },
    ],
  },
  {
    id: "continue",
    name: "Continue",
    lines: [
      {
        how: "continue",
        text: `name: qrelay
version: 0.0.1
schema: v1
models:
  - name: Claude Sonnet 4.5
    provider: anthropic
    model: claude-sonnet-4-5
    apiBase: {url}/v1
    apiKey: {key}`,
      },
    ],
  },
  {
    id: "aider",
    name: "aider",
    lines: [
      { how: "openai", text: "OPENAI_API_BASE={url}/v1 OPENAI_API_KEY={key} aider --model openai/claude-sonnet-4-5" },
      { how: "anthropic", text: "ANTHROPIC_API_BASE={url} ANTHROPIC_API_KEY={key} aider --model anthropic/claude-sonnet-4-5" },
    ],
  },
  {
    id: "openwebui",
    name: "Open WebUI",
    lines: [{ how: "start", text: "OPENAI_API_BASE_URL={url}/v1 OPENAI_API_KEY={key} open-webui serve" }],
  },
  {
    id: "sdk",
    name: "SDK",
    lines: [
      {
        how: "python.openai",
        text: `from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{key}")
answer = client.chat.completions.create(model="claude-sonnet-4-5", messages=[{"role": "user", "content": "Hello"}])
print(answer.choices[0].message.content)`,
      },
      {
        how: "python.anthropic",
        text: `from anthropic import Anthropic

client = Anthropic(base_url="{url}", api_key="{key}")
answer = client.messages.create(
    model="claude-sonnet-4-5", max_tokens=1000, messages=[{"role": "user", "content": "Hello"}]
)
print(answer.content[0].text)`,
      },
      {
        how: "javascript",
        text: `import { createAnthropic } from "@ai-sdk/anthropic";

const qrelay = createAnthropic({ baseURL: "{url}/v1", apiKey: "{key}" });`,
      },
    ],
  },
  {
    id: "curl",
    name: "curl",
    lines: [
      {
        how: "anthropic",
        text: String.raw`curl -N {url}/v1/messages -H 'x-api-key: {key}' -H 'content-type: application/json' \
  -d '{"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`,
      },
      {
        how: "openai",
        text: String.raw`curl -N {url}/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
  -d '{"model": "claude-sonnet-4-5", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`,
      },
      {
        how: "responses",
        text: String.raw`curl {url}/v1/responses -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
  -d '{"model": "claude-sonnet-4-5", "input": "Hello"}'`,
      },
    ],
  },
];

/** @param {string} text @param {string} url @param {string} key */
export const filled = (text, url, key) => text.replaceAll("{url}", url).replaceAll("{key}", key);
