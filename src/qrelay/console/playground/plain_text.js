// Text of a model, of any size, as text: never HTML, never one node the browser has to lay out anew for each word.
//
// It is cut into blocks, where a line ends if one does: while an answer streams only the last block changes, and
// blocks out of sight are not laid out (`content-visibility`). Each block is a paragraph of its own to the
// bidirectional algorithm, so that marks for right-to-left text reach no further than the answer.

import { useMemo } from "preact/hooks";
import { html } from "../html.js";

const BLOCK = 2048;
const LONGEST = 8192;

/**
 * @param {string} text
 * @returns {string[]} blocks that join to `text`; a block is only cut inside a line longer than `LONGEST`
 */
export function blocks(text) {
  const found = [];
  let from = 0;
  while (text.length - from > BLOCK) {
    const end = text.indexOf("\n", from + BLOCK);
    let to = end < 0 || end - from >= LONGEST ? from + LONGEST : end + 1;
    if (to >= text.length) break;
    const code = text.charCodeAt(to);
    if (code >= 0xdc00 && code <= 0xdfff) to += 1; // between the halves of a pair is no place to cut
    found.push(text.slice(from, to));
    from = to;
  }
  if (from < text.length) found.push(text.slice(from));
  return found;
}

/** @param {{text: string, mono?: boolean}} props */
export function PlainText({ text, mono = false }) {
  const cut = useMemo(() => blocks(text), [text]);
  return html`
    <div class="plain ${mono ? "mono" : ""}">${cut.map((block, at) => html`<div key=${at} dir="auto">${block}</div>`)}</div>
  `;
}
