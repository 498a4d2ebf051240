// The console's session: whether one is needed, opening it, ending it. The cookie itself is out of a script's reach.

import { forget } from "./answers.js";
import { call, door } from "./api.js";

/** Ask how it stands. A gateway that doesn't say has no sessions: its doors are open to who may ask at all. */
export async function ask() {
  try {
    const { required, open } = await call("/v2/session");
    door.set({ required: Boolean(required), open: Boolean(open) || !required });
  } catch (error) {
    if (error.status !== 401) door.set({ required: false, open: true });
  }
}

/** @param {string} secret Raises ApiError. */
export async function open(secret) {
  await call("/v2/session", { method: "POST", body: { secret } });
  forget();
  door.set({ required: true, open: true });
}

/** Raises ApiError. */
export async function close() {
  await call("/v2/session", { method: "DELETE" });
  forget();
  door.set({ required: true, open: false });
}
