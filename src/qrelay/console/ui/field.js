// Fields of forms: a label, the control, a hint, and what is wrong with it.

import { useId } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {{label: string, value: string, set: (value: string) => void, hint?: any, error?: string | null, lines?: number,
 *   options?: [string, string][], [attribute: string]: any}} props `lines` makes a text area, `options` (value, text)
 *   a list to choose from; further attributes go to the control
 */
export function Field({ label, value, set, hint, error, lines, options, ...rest }) {
  const id = useId();
  const said = error ?? hint;
  const shared = {
    ...rest,
    id,
    value,
    onInput: (event) => set(event.currentTarget.value),
    "aria-describedby": said ? `${id}-said` : undefined,
    "aria-invalid": error ? "true" : undefined,
  };
  const control = options
    ? html`<select ...${shared}>${options.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}</select>`
    : lines
      ? html`<textarea ...${shared} rows=${lines}></textarea>`
      : html`<input type="text" autocomplete="off" spellcheck=${false} ...${shared} />`;
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${control}
      ${said && html`<p id="${id}-said" class=${error ? "wrong" : "meta"}>${said}</p>`}
    </div>
  `;
}

/** @param {{label: any, checked: boolean, set: (checked: boolean) => void, [attribute: string]: any}} props */
export function Check({ label, checked, set, ...rest }) {
  return html`
    <label class="check">
      <input type="checkbox" ...${rest} checked=${checked} onChange=${(event) => set(event.currentTarget.checked)} />
      <span>${label}</span>
    </label>
  `;
}

/**
 * A few choices of which one holds, as buttons side by side.
 * @param {{label: string, value: string, set: (value: string) => void, options: [string, string][]}} props
 */
export function Choice({ label, value, set, options }) {
  return html`
    <div class="choice" role="group" aria-label=${label}>
      ${options.map(
        ([key, text]) =>
          html`<button key=${key} type="button" aria-pressed=${key === value ? "true" : "false"} onClick=${() => set(key)}>${text}</button>`,
      )}
    </div>
  `;
}
