// Anthropic's Messages API: a body to send, events to read. Not the network (`call.js`).

import { inputOf, partOf } from "./talk.js";

export const path = "/v1/messages";
export const name = "Messages";

export const headers = (key) => ({ "anthropic-version": "2023-06-01", ...(key ? { "x-api-key": key } : {}) });

export function body(asked, stream) {
  return {
    model: asked.model,
    max_tokens: asked.maxTokens,
    ...(asked.system ? { system: asked.system } : {}),
    ...(asked.effort ? { output_config: { effort: asked.effort } } : {}),
    ...(asked.tools.length ? { tools: asked.tools.map(tool) } : {}),
    messages: asked.turns.map((turn) => ({ role: turn.role, content: turn.parts.flatMap(block) })),
    stream,
  };
}

const tool = ({ name: called, description, parameters }) => ({ name: called, description, input_schema: parameters });

function block(part) {
  switch (part.kind) {
    case "text":
      return part.text ? [{ type: "text", text: part.text }] : [];
    case "image":
      return [{ type: "image", source: { type: "base64", media_type: part.media, data: part.data } }];
    case "reasoning": // without its signature it is not taken back
      return part.proof?.signature || part.proof?.data ? [part.proof] : [];
    case "tool_use":
      return [{ type: "tool_use", id: part.id, name: part.name, input: inputOf(part) }];
    case "tool_result":
      return [{ type: "tool_result", tool_use_id: part.id, content: part.text, is_error: part.failed }];
    default:
      return [];
  }
}

/** @returns {(event: {name: string, data: string}) => void} fills `reply` */
export function reader(reply) {
  return ({ data }) => {
    const event = JSON.parse(data);
    switch (event.type) {
      case "message_start":
        break;
      case "content_block_start":
        begin(reply, event.index, event.content_block);
        break;
      case "content_block_delta":
        extend(reply.parts.find((part) => part.key === event.index), event.delta);
        break;
      case "message_delta":
        reply.stop = event.delta.stop_reason;
        reply.usage = usage(event.usage);
        break;
      case "message_stop":
        reply.ended = true;
        break;
      case "error":
        reply.error = failure(event);
        break;
    }
  };
}

function begin(reply, key, start) {
  if (start.type === "tool_use") {
    Object.assign(partOf(reply, "tool_use", key), { id: start.id, name: start.name });
  } else if (start.type === "thinking") {
    const part = partOf(reply, "reasoning", key);
    part.text = start.thinking;
    part.proof = { type: "thinking", thinking: start.thinking, signature: start.signature };
  } else if (start.type === "redacted_thinking") {
    partOf(reply, "reasoning", key).proof = start;
  } else if (start.type === "text") {
    partOf(reply, "text", key).text = start.text;
  }
}

function extend(part, delta) {
  if (!part) return;
  if (delta.type === "text_delta") part.text += delta.text;
  else if (delta.type === "input_json_delta") part.input += delta.partial_json;
  else if (delta.type === "thinking_delta") part.proof.thinking = part.text += delta.thinking;
  else if (delta.type === "signature_delta") part.proof.signature = delta.signature;
}

/** A whole answer into `reply`. */
export function whole(reply, told) {
  told.content.forEach((part, index) => {
    begin(reply, index, part);
    if (part.type === "tool_use") reply.parts.at(-1).input = JSON.stringify(part.input);
  });
  reply.stop = told.stop_reason;
  reply.usage = usage(told.usage);
  reply.ended = true;
}

const usage = (told) => ({
  input: told.input_tokens,
  cacheRead: told.cache_read_input_tokens ?? 0,
  cacheWrite: told.cache_creation_input_tokens ?? 0,
  output: told.output_tokens,
  estimated: told.estimated === true,
});

/** @returns {{code: string, message: string}} out of an error event or the body of a refusal */
export const failure = (told) => ({ code: told.error?.type ?? "error", message: told.error?.message ?? "" });
