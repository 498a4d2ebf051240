// The management API: a request out, its JSON back, or an ApiError with what happened and what to do.
//
// Nothing of it is kept here (`answers.js` does), and no secret is: a session is a cookie that scripts can't see.

import { store } from "./store.js";
import { t } from "./words.js";

export class ApiError extends Error {
  /** @param {{status: number, code: string, message: string, remedy?: string | null, retryAfter?: number | null}} said */
  constructor({ status, code, message, remedy = null, retryAfter = null }) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.remedy = remedy;
    this.retryAfter = retryAfter;
  }
}

/** Whether the gateway asks for a log-in: `open` is false once it said 401. */
export const door = store({ required: false, open: true });

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, raw?: Blob, signal?: AbortSignal, keepalive?: boolean,
 *   background?: boolean}} [options]
 *   `body` goes as JSON, `raw` as it is; `background` says that no person asks, so that a session may end meanwhile.
 * @returns {Promise<any>} Raises ApiError, and AbortError when the signal says so.
 */
export async function call(path, { method = "GET", body, raw, signal, keepalive = false, background = false } = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["x-qrelay-csrf"] = "1";
  if (background) headers["x-qrelay-background"] = "1";
  if (body !== undefined) headers["content-type"] = "application/json";
  if (raw !== undefined) headers["content-type"] = "application/octet-stream";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
      credentials: "same-origin",
      cache: "no-store",
      signal,
      keepalive,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError({ status: response.status, code: "unreadable", message: t("error.unreadable") });
  }
  if (response.ok) return answer;
  if (response.status === 401 && path.startsWith("/v2/")) door.set({ required: true, open: false });
  throw told(response, answer);
}

export const post = (path, body = {}) => call(path, { method: "POST", body });
export const patch = (path, body) => call(path, { method: "PATCH", body });
export const remove = (path, options = {}) => call(path, { method: "DELETE", ...options });

/** An answer that says no, as every surface of the gateway says it. */
export function told(response, answer) {
  const error = typeof answer?.error === "object" && answer.error ? answer.error : {};
  const text = typeof answer?.error === "string" ? answer.error : null;
  return new ApiError({
    status: response.status,
    code: error.code ?? error.type ?? "unreadable",
    message: error.message ?? answer?.message ?? text ?? t("error.status", { status: String(response.status) }),
    remedy: error.remedy ?? answer?.remedy ?? null,
    retryAfter: Number(response.headers.get("retry-after")) || null,
  });
}

export const unreachable = () =>
  new ApiError({
    status: 0,
    code: "unreachable",
    message: t("error.unreachable"),
    remedy: t("error.unreachable.remedy"),
  });
