// OpenAI's Chat Completions: a body to send, chunks to read. Not the network (`call.js`).

import { partOf } from "./talk.js";

export const path = "/v1/chat/completions";
export const name = "Chat Completions";

export const headers = (key) => (key ? { authorization: `Bearer ${key}` } : {});

export function body(asked, stream) {
  return {
    model: asked.model,
    max_completion_tokens: asked.maxTokens,
    ...(asked.effort ? { reasoning_effort: asked.effort } : {}),
    ...(asked.tools.length ? { tools: asked.tools.map((tool) => ({ type: "function", function: tool })) } : {}),
    messages: [...(asked.system ? [{ role: "system", content: asked.system }] : []), ...asked.turns.flatMap(messages)],
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  };
}

function messages(turn) {
  if (turn.role === "assistant") return [said(turn.parts)];
  const results = turn.parts.filter((part) => part.kind === "tool_result");
  const rest = turn.parts.filter((part) => part.kind === "text" || part.kind === "image").map(content);
  return [
    ...results.map((part) => ({ role: "tool", tool_call_id: part.id, content: part.text })),
    ...(rest.length ? [{ role: "user", content: rest.length === 1 && rest[0].text ? rest[0].text : rest }] : []),
  ];
}

function said(parts) {
  const text = parts.filter((part) => part.kind === "text").map((part) => part.text).join("");
  const calls = parts.filter((part) => part.kind === "tool_use").map((part) => ({
    id: part.id,
    type: "function",
    function: { name: part.name, arguments: part.input || "{}" },
  }));
  return { role: "assistant", content: text || null, ...(calls.length ? { tool_calls: calls } : {}) };
}

const content = (part) =>
  part.kind === "text"
    ? { type: "text", text: part.text }
    : { type: "image_url", image_url: { url: `data:${part.media};base64,${part.data}` } };

/** @returns {(event: {name: string, data: string}) => void} fills `reply` */
export function reader(reply) {
  return ({ data }) => {
    if (data === "[DONE]") {
      reply.ended = true;
      return;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) {
      reply.error = failure(chunk);
      return;
    }
    if (chunk.usage) reply.usage = usage(chunk.usage);
    for (const { delta, finish_reason: stop } of chunk.choices) {
      take(reply, delta);
      if (stop) reply.stop = stop;
    }
  };
}

function take(reply, delta) {
  if (delta.reasoning_content) partOf(reply, "reasoning").text += delta.reasoning_content;
  if (delta.content) partOf(reply, "text").text += delta.content;
  for (const call of delta.tool_calls ?? []) {
    const part = partOf(reply, "tool_use", call.index ?? call.id);
    part.id ||= call.id;
    part.name ||= call.function?.name ?? "";
    part.input += call.function?.arguments ?? "";
  }
}

/** A whole answer into `reply`. */
export function whole(reply, told) {
  const [{ message, finish_reason: stop }] = told.choices;
  take(reply, message);
  reply.stop = stop;
  reply.usage = usage(told.usage);
  reply.ended = true;
}

function usage(told) {
  const { cached_tokens: cacheRead = 0, cache_write_tokens: cacheWrite = 0 } = told.prompt_tokens_details ?? {};
  const input = told.prompt_tokens - cacheRead - cacheWrite;
  return { input, cacheRead, cacheWrite, output: told.completion_tokens, estimated: told.estimated === true };
}

/** @returns {{code: string, message: string}} out of an error chunk or the body of a refusal */
export const failure = (told) => ({
  code: told.error?.code ?? told.error?.type ?? "error",
  message: told.error?.message ?? "",
});
