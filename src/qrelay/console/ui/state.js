// A state: a word with a dot, never colour alone.

import { html } from "../html.js";

/** @param {{tone: "ok" | "info" | "warn" | "bad" | "off", children?: any}} props */
export function StateDot({ tone, children }) {
  return html`<span class="state ${tone}">${children}</span>`;
}

/**
 * How much of something is used. Past nine tenths it warns, at the end it says so.
 * @param {{share: number | null, label: string}} props `share` 0 to 1, null for unknown; `label` says it in words
 */
export function Meter({ share, label }) {
  const full = Math.min(1, Math.max(0, share ?? 0));
  const tone = full >= 1 ? "bad" : full >= 0.85 ? "warn" : "";
  return html`<div class="meter ${share === null ? "unknown" : tone}" role="img" aria-label=${label}><i style=${{ width: `${full * 100}%` }}></i></div>`;
}
