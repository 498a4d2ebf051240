// Short notices at the top centre. They go by themselves, but not while they are read (pointer or focus on them), and
// errors wait until they are closed.
//
//   say(t("accounts.refreshed"))                      tell(error): what happened, and what to do about it
//   say(text, { undo: { label, act }, seconds: 10 })

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { store, useStore } from "../store.js";
import { t } from "../words.js";
import { inWords } from "./trouble.js";

/**
 * @typedef {{id: number, text: string, remedy?: string | null, tone: "ok" | "bad", seconds: number,
 *   undo?: {label: string, act: () => unknown}, ended?: () => void}} Toast
 */

/** @type {ReturnType<typeof store<Toast[]>>} */
const shown = store([]);
let last = 0;

/**
 * @param {string} text
 * @param {Partial<Omit<Toast, "id" | "text">>} [options] `seconds` 0 waits; `ended` when it went without an undo
 */
export function say(text, { tone = "ok", seconds = 5, ...rest } = {}) {
  const same = shown.get().filter((one) => one.text !== text || one.undo);
  shown.set([...same.slice(-3), { id: ++last, text, tone, seconds, ...rest }]);
}

/** @param {any} error An ApiError, or anything that was thrown. */
export function tell(error) {
  if (error?.name === "AbortError") return;
  if (!error?.code) console.error(error);
  const { title, detail, remedy } = inWords(error);
  say(title, { tone: "bad", seconds: 0, remedy: [detail, remedy].filter(Boolean).join(" ") });
}

const drop = (id) => shown.set(shown.get().filter((one) => one.id !== id));

export function Toasts() {
  const toasts = useStore(shown);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // Shown anew, it lies above a dialog that was opened since.
    box.current?.hidePopover();
    if (toasts.length) box.current?.showPopover();
  }, [toasts]);
  return html`
    <div class="toasts" popover="manual" ref=${box} role="region" aria-label=${t("toasts")}>
      ${toasts.map((toast) => html`<${One} key=${toast.id} toast=${toast} />`)}
    </div>
  `;
}

/** @param {{toast: Toast}} props */
function One({ toast }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held || !toast.seconds) return undefined;
    const timer = setTimeout(() => {
      drop(toast.id);
      toast.ended?.();
    }, toast.seconds * 1000);
    return () => clearTimeout(timer);
  }, [held, toast]);
  const close = () => {
    drop(toast.id);
    toast.ended?.();
  };
  const undo = () => {
    drop(toast.id);
    void toast.undo?.act();
  };
  const hold = { onPointerEnter: () => setHeld(true), onPointerLeave: () => setHeld(false) };
  return html`
    <div class="toast ${toast.tone}" role=${toast.tone === "bad" ? "alert" : "status"} ...${hold}
      onFocusIn=${() => setHeld(true)} onFocusOut=${() => setHeld(false)}>
      <div><p>${toast.text}</p>${toast.remedy && html`<p class="meta">${toast.remedy}</p>`}</div>
      ${toast.undo && html`<button type="button" class="button quiet" onClick=${undo}>${toast.undo.label}</button>`}
      <button type="button" class="button quiet" onClick=${close} aria-label=${t("close")}>×</button>
    </div>
  `;
}
