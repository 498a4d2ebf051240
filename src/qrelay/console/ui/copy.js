// Copying: one press, and it says so.

import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../words.js";

/** @param {{text: string, label?: string, what?: string}} props `what` names it for who can't see what stands beside */
export function Copy({ text, label, what }) {
  const [outcome, setOutcome] = useState("");
  useEffect(() => {
    if (!outcome) return undefined;
    const timer = setTimeout(() => setOutcome(""), 2000);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async () => setOutcome((await copied(text)) ? "copied" : "failed");
  const shown = outcome ? t(`copy.${outcome}`) : label ?? t("copy");
  return html`
    <button type="button" class="button quiet copy" onClick=${copy} aria-label=${what && !outcome ? `${shown}: ${what}` : undefined}>
      <span aria-live="polite">${shown}</span>
    </button>
  `;
}

/** A command or a text of several lines with its button. @param {{text: string, what: string, caption?: any}} props */
export function Snippet({ text, what, caption }) {
  return html`
    <div class="snippet">
      <div class="spread"><span class="meta">${caption}</span><${Copy} text=${text} what=${what} /></div>
      <pre tabindex="0" aria-label=${what}>${text}</pre>
    </div>
  `;
}

/** The clipboard is for pages that came safely: over plain http from another machine the older way is all there is. */
async function copied(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Not allowed, perhaps: the older way may be.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  (before?.closest("dialog") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}
