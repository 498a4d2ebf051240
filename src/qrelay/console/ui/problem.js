// What went wrong and what to do about it, in the page.

import { html } from "../html.js";
import { t } from "../words.js";
import { Button } from "./button.js";
import { inWords } from "./trouble.js";

/** @param {{error: any, again?: () => unknown}} props */
export function Problem({ error, again }) {
  const { title, detail, remedy } = inWords(error);
  return html`
    <div class="callout bad" role="alert">
      <div>
        <b class="text">${title}</b>
        ${detail && html`<p class="meta text quote">${detail}</p>`}
        ${remedy && html`<p>${remedy}</p>`}
      </div>
      ${again && html`<${Button} act=${again}>${t("again")}<//>`}
    </div>
  `;
}

/** A place where nothing is yet: what it would be, and the way there. @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}
