// The overview.
import { html } from "../html.js";
import { Page } from "../ui/page.js";
import { t } from "../words.js";

export default function Overview() {
  return html`<${Page} title=${t("page.overview")} />`;
}
