// A page: the sentence its user came for as the title, what there is to say about it, what can be done, then the rest.

import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { place } from "../router.js";

/**
 * @param {{title: string, sub?: any, actions?: any, children?: any}} props `title` is also the window's
 */
export function Page({ title, sub, actions, children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    document.title = `${title} · qrelay`;
  }, [title]);
  useEffect(() => {
    // Who came by a link goes on from here, as after loading a page; a reader says the title.
    if (place.get().moved) heading.current?.focus();
  }, []);
  return html`
    <div class="page-head">
      <div>
        <h1 ref=${heading} tabindex="-1">${title}</h1>
        ${sub && html`<p class="sub">${sub}</p>`}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>
    ${children}
  `;
}
