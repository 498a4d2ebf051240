// What went wrong and what to do about it, in the page.

import { html } from "../html.js";
import { t } from "../words.js";
import { Button } from "./button.js";

/** @param {{error: any, again?: () => unknown}} props */
export function Problem({ error, again }) {
  return html`
    <div class="callout bad" role="alert">
      <div>
        <b>${error.message}</b>
        ${error.remedy && html`<p>${error.remedy}</p>`}
      </div>
      ${again && html`<${Button} act=${again}>${t("again")}<//>`}
    </div>
  `;
}

/** A place where nothing is yet: what it would be, and the way there. @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}
