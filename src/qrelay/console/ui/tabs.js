// Tabs: arrow keys move between them, Tab goes on into what is shown.

import { useId } from "preact/hooks";
import { html } from "../html.js";

/** @param {{label: string, value: string, set: (value: string) => void, options: [string, string][], children?: any}} props */
export function Tabs({ label, value, set, options, children }) {
  const id = useId();
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = options.findIndex(([key]) => key === value);
    const last = options.length - 1;
    const next = Number.isFinite(step) ? (at + step + options.length) % options.length : step < 0 ? 0 : last;
    set(options[next][0]);
    event.currentTarget.querySelectorAll("[role=tab]")[next].focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
      ${options.map(
        ([key, text]) =>
          html`<button key=${key} type="button" role="tab" id="${id}-${key}" aria-selected=${key === value ? "true" : "false"}
            aria-controls="${id}-panel" tabindex=${key === value ? 0 : -1} onClick=${() => set(key)}>${text}</button>`,
      )}
    </div>
    <div role="tabpanel" id="${id}-panel" aria-labelledby="${id}-${value}">${children}</div>
  `;
}
