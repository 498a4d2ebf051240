// The conversation that is under way, as long as the console is open: it goes on while another page is looked at.
//
//   talk.get()   {turns, running, ...}        turns as in talk.js; an assistant's also has its `reply`
//   send(…)      the user's turn, then the answer, drawn at most once a frame however fast it comes
//   stop()       what has come stays

import { call as manage } from "../api.js";
import { store } from "../store.js";
import { openCalls } from "./talk.js";

/** @type {ReturnType<typeof store<{turns: any[], running: AbortController | null}>>} */
export const talk = store({ turns: [], running: null });

/** Stop reasons after which a tool call may be half a one. */
const CUT = new Set(["max_tokens", "length", "max_output_tokens"]);

/** What goes back to the model: of an answer that broke, its text and no half tool call. */
export function sent(turns) {
  return turns
    .map(({ role, parts, reply }) => {
      const cut = reply?.error || CUT.has(reply?.stop);
      return { role, parts: cut ? parts.filter((part) => part.kind === "text") : parts };
    })
    .filter((turn) => turn.parts.length);
}

/** The tool calls that wait for somebody's answer. */
export function waiting(turns) {
  const { reply } = turns.at(-1) ?? {};
  return reply?.error || CUT.has(reply?.stop) ? [] : openCalls(turns);
}

/**
 * @param {{api: any, asked: any, stream: boolean, key: string}} how
 * @param {any[]} parts the user's; none asks again for what is there
 * @returns {Promise<void>} Raises only what loading a script raises; what goes wrong with the answer stands under it.
 */
export async function send(how, parts) {
  const { ask } = await import("./call.js");
  if (talk.get().running) return;
  const running = new AbortController();
  const before = talk.get().turns;
  const turns = parts.length ? [...before, { role: "user", parts }] : before;
  /** @type {{role: string, api: string, parts: any[], reply: import("./call.js").Reply | null}} */
  const answer = { role: "assistant", api: how.api.name, parts: [], reply: null };
  talk.set({ turns: [...turns, answer], running });
  let due = 0;
  const draw = () => {
    cancelAnimationFrame(due);
    due = 0;
    if (talk.get().turns.at(-1) === answer) talk.set({ ...talk.get() });
  };
  const asked = { ...how.asked, turns: sent(turns) };
  const reply = await ask({ ...how, asked, signal: running.signal }, (now) => {
    answer.reply = now;
    answer.parts = now.parts;
    due ||= requestAnimationFrame(draw);
  });
  if (talk.get().running === running) talk.set({ ...talk.get(), running: null });
  draw();
  await addRow(reply, draw);
}

export const stop = () => talk.get().running?.abort();

export function clear() {
  stop();
  talk.set({ turns: [], running: null });
}

/** Take the last answer away and ask for it again. */
export function retry(how) {
  const turns = talk.get().turns;
  if (talk.get().running || turns.at(-1)?.role !== "assistant") return undefined;
  talk.set({ turns: turns.slice(0, -1), running: null });
  return send(how, []);
}

/** What only the gateway's log knows of a request: its account, credits and error code. It is written within a second. */
async function addRow(reply, draw) {
  if (!reply.requestId) return;
  for (const wait of [400, 800, 1600]) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      reply.row = await manage(`/v2/requests/${encodeURIComponent(reply.requestId)}`);
      return draw();
    } catch (error) {
      if (error.status !== 404) return; // without a log there is nothing to add
    }
  }
}
