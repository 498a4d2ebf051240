// The last requests, as far as the gateway keeps a log of them.

import { useMemo } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { columns } from "../requests/row.js";
import { go, hrefOf } from "../router.js";
import { Table } from "../ui/table.js";
import { t } from "../words.js";

export function Recent() {
  const { data } = useAnswer("/v2/requests?limit=5", { every: 5000 });
  const shown = useMemo(columns, []);
  if (!data) return null;
  return html`
    <section aria-labelledby="recent">
      <div class="spread section-head"><h2 id="recent">${t("overview.recent")}</h2><a href=${hrefOf("requests")}>${t("overview.recent.all")}</a></div>
      ${data.requests.length === 0
        ? html`<p class="meta">${t("overview.recent.none")}</p>`
        : html`<div class="log"><${Table} label=${t("overview.recent")} columns=${shown} rows=${data.requests} rowKey=${(row) => row.id}
            open=${(row) => go(hrefOf("requests", { id: row.id }))} /></div>`}
    </section>
  `;
}
