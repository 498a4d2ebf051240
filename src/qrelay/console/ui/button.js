// A button that knows when it is at work, and tells what went wrong.

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { tell } from "./toasts.js";

/**
 * @param {{act: () => unknown, kind?: "primary" | "quiet" | "danger", disabled?: boolean, children?: any,
 *   [attribute: string]: any}} props `act` may be async: until it ends the button waits; what it throws is told in a toast
 */
export function Button({ act, kind, disabled = false, children, ...rest }) {
  const [busy, setBusy] = useState(false);
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const press = async () => {
    if (busy || disabled) return;
    setBusy(true);
    try {
      await act();
    } catch (error) {
      tell(error);
    } finally {
      if (alive.current) setBusy(false);
    }
  };
  return html`
    <button type="button" ...${rest} class="button ${kind ?? ""} ${rest.class ?? ""}" aria-disabled=${disabled || undefined}
      aria-busy=${busy || undefined} onClick=${press}>${children}</button>
  `;
}
