// One call of a client API by the page itself: fetch, read as it comes, abort. What it means is the API module's.
//
// The gateway cancels its own call upstream as soon as the browser drops this one.

import { newReply } from "./talk.js";
import { sseReader } from "./sse.js";

const SHOWN = ["x-qrelay-model", "x-qrelay-account", "x-qrelay-attempts", "x-qrelay-adjusted", "x-qrelay-ignored"];

/**
 * @typedef {ReturnType<typeof newReply> & {raw: string[], requestId: string, headers: Record<string, string>,
 *   status: number, firstByte: number | null, duration: number | null}} Reply
 */

/**
 * Ask, and tell `changed` whenever more has come. Never throws: what went wrong is in `reply.error`.
 * @param {{api: any, asked: object, stream: boolean, key: string, signal: AbortSignal}} call
 * @param {(reply: Reply) => void} changed
 */
export async function ask({ api, asked, stream, key, signal }, changed) {
  /** @type {Reply} */
  const reply = { ...newReply(), raw: [], requestId: "", headers: {}, status: 0, firstByte: null, duration: null };
  const started = performance.now();
  try {
    const answer = await fetch(api.path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-qrelay-client": "playground", ...api.headers(key) },
      body: JSON.stringify(api.body(asked, stream)),
      signal,
      credentials: "omit",
    });
    reply.firstByte = performance.now() - started;
    heads(reply, answer);
    const streaming = (answer.headers.get("content-type") ?? "").startsWith("text/event-stream");
    await (streaming ? readEvents(api, answer, reply, changed) : readWhole(api, answer, reply));
  } catch (error) {
    if (signal.aborted) reply.error = { code: "stopped", message: "" };
    else reply.error = { code: reply.status ? "connection_lost" : "unreachable", message: "" };
  }
  if (!reply.error && !reply.ended) reply.error = { code: "connection_lost", message: "" };
  reply.duration = performance.now() - started;
  changed(reply);
  return reply;
}

function heads(reply, answer) {
  reply.status = answer.status;
  reply.requestId = answer.headers.get("x-request-id") ?? answer.headers.get("request-id") ?? "";
  for (const name of SHOWN) if (answer.headers.has(name)) reply.headers[name] = answer.headers.get(name);
}

async function readEvents(api, answer, reply, changed) {
  const { feed } = sseReader(api.reader(reply));
  const stream = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await stream.read();
    if (done) return;
    reply.raw.push(value);
    feed(value);
    changed(reply);
  }
}

async function readWhole(api, answer, reply) {
  const text = await answer.text();
  reply.raw.push(text);
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    reply.error = { code: `http_${answer.status}`, message: text.slice(0, 500) };
    return;
  }
  if (answer.ok) api.whole(reply, told);
  else reply.error = api.failure(told);
}
