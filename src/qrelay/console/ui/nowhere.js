// Pages for when there is none: a wrong address, a page that could not be loaded.

import { html } from "../html.js";
import { t } from "../words.js";
import { Page } from "./page.js";

export const Nowhere = () => html`
  <${Page} title=${t("nowhere.title")} sub=${t("nowhere.sub")}>
    <p><a href="/">${t("nowhere.back")}</a></p>
  <//>
`;

/** The server was stopped, or it is of another version since: its files have other names then. */
export const Unloaded = () => html`
  <${Page} title=${t("unloaded.title")} sub=${t("unloaded.sub")}>
    <button type="button" class="button primary" onClick=${() => location.reload()}>${t("unloaded.again")}</button>
  <//>
`;
