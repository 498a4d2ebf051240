// Dialogs over the page, and drawers at its side: the browser's own <dialog>, which keeps focus inside, closes on
// Escape and gives focus back. The button that closes it comes last, so that focus begins where the work is.

import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../words.js";

/**
 * @param {{title: string, onClose: () => void, side?: boolean, wide?: boolean, actions?: any, children?: any}} props
 *   It is open as long as it is drawn; `side` makes a drawer, which a press beside it closes too.
 */
export function Dialog({ title, onClose, side = false, wide = false, actions, children }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const dialog = /** @type {HTMLDialogElement} */ (box.current);
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus();
    };
  }, []);
  const beside = (event) => side && event.target === box.current && onClose();
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`
    <dialog ref=${box} class=${side ? "drawer" : wide ? "wide" : ""} aria-labelledby="dialog-title" onCancel=${cancel}
      onClick=${beside}>
      <div class="dialog-body">
        <h2 id="dialog-title" class="name">${title}</h2>
        ${children}
        ${actions && html`<div class="actions">${actions}</div>`}
        <button type="button" class="button quiet close" onClick=${onClose}>${t("close")}</button>
      </div>
    </dialog>
  `;
}

export const Drawer = (props) => html`<${Dialog} side ...${props} />`;
