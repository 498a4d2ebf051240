// The client key the playground asks with: this tab's, gone when it is closed. Never the admin secret, never a cookie.

import { post } from "../api.js";
import { store } from "../store.js";

const KEPT = "qrelay.playground.key";
const HOURS = 12;

export const key = store(read());

export function useThis(value) {
  try {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // storage may be off: it holds until the page is loaded anew
  }
  key.set(value);
}

/** A key of the playground's own, which ends by itself. Raises ApiError. */
export async function makeKey() {
  const expires = new Date(Date.now() + HOURS * 3600e3).toISOString();
  useThis((await post("/v2/keys", { name: "playground", expires_at: expires })).key);
}

function read() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}
