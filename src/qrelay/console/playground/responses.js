// OpenAI's Responses API: a body to send, events to read. Nothing is stored: the items go back each time.

import { failure as refusal } from "./chat.js";
import { partOf } from "./talk.js";

export { headers } from "./chat.js";

export const path = "/v1/responses";
export const name = "Responses";

export function body(asked, stream) {
  return {
    model: asked.model,
    max_output_tokens: asked.maxTokens,
    ...(asked.system ? { instructions: asked.system } : {}),
    ...(asked.effort ? { reasoning: { effort: asked.effort } } : {}),
    ...(asked.tools.length ? { tools: asked.tools.map((tool) => ({ type: "function", ...tool })) } : {}),
    input: asked.turns.flatMap(items),
    include: ["reasoning.encrypted_content"],
    store: false,
    stream,
  };
}

function items(turn) {
  const found = [];
  for (const part of turn.parts) {
    const last = found.at(-1);
    const content = contentOf(part, turn.role);
    if (content && last?.type === "message") last.content.push(content);
    else if (content) found.push({ type: "message", role: turn.role, content: [content] });
    else if (part.kind === "tool_use")
      found.push({ type: "function_call", call_id: part.id, name: part.name, arguments: part.input || "{}" });
    else if (part.kind === "tool_result")
      found.push({ type: "function_call_output", call_id: part.id, output: part.text });
    else if (part.proof?.encrypted_content) found.push(part.proof);
  }
  return found;
}

function contentOf(part, role) {
  if (part.kind === "image") return { type: "input_image", image_url: `data:${part.media};base64,${part.data}` };
  if (part.kind !== "text" || !part.text) return null;
  return { type: role === "assistant" ? "output_text" : "input_text", text: part.text };
}

/** @returns {(event: {name: string, data: string}) => void} fills `reply` */
export function reader(reply) {
  return ({ data }) => {
    const event = JSON.parse(data);
    switch (event.type) {
      case "response.output_item.added":
        begin(reply, event.output_index, event.item);
        break;
      case "response.output_text.delta":
        partOf(reply, "text", event.output_index).text += event.delta;
        break;
      case "response.reasoning_summary_text.delta":
        partOf(reply, "reasoning", event.output_index).text += event.delta;
        break;
      case "response.function_call_arguments.delta":
        partOf(reply, "tool_use", event.output_index).input += event.delta;
        break;
      case "response.output_item.done":
        if (event.item.type === "reasoning") partOf(reply, "reasoning", event.output_index).proof = event.item;
        break;
      case "response.completed":
      case "response.incomplete":
        close(reply, event.response);
        break;
      case "response.failed":
      case "error":
        reply.error = refusal(event.response ?? { error: event.error ?? event });
        break;
    }
  };
}

function begin(reply, key, item) {
  if (item.type === "function_call") {
    Object.assign(partOf(reply, "tool_use", key), { id: item.call_id, name: item.name });
  } else if (item.type === "reasoning") {
    partOf(reply, "reasoning", key);
  }
}

function close(reply, told) {
  reply.stop = told.incomplete_details?.reason ?? told.status;
  const details = told.usage.input_tokens_details ?? {};
  const { cached_tokens: cacheRead = 0, cache_write_tokens: cacheWrite = 0 } = details;
  reply.usage = {
    input: told.usage.input_tokens - cacheRead - cacheWrite,
    cacheRead,
    cacheWrite,
    output: told.usage.output_tokens,
    estimated: told.usage.estimated === true,
  };
  reply.ended = true;
}

/** A whole answer into `reply`. */
export function whole(reply, told) {
  told.output.forEach((item, key) => {
    begin(reply, key, item);
    if (item.type === "function_call") reply.parts.at(-1).input = item.arguments;
    else if (item.type === "reasoning")
      Object.assign(reply.parts.at(-1), { proof: item, text: item.summary.map((part) => part.text).join("\n") });
    else if (item.type === "message")
      partOf(reply, "text", key).text = item.content.map((part) => part.text ?? part.refusal ?? "").join("");
  });
  close(reply, told);
}

export const failure = refusal;
