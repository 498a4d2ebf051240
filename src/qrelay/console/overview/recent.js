// The last requests, as far as the gateway keeps a log of them.

import { useAnswer } from "../answers.js";
import { amount, estimated, milliseconds, shortMoment } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { StateDot } from "../ui/state.js";
import { t } from "../words.js";

export function Recent() {
  const { data } = useAnswer("/v2/requests?limit=5", { every: 5000 });
  if (!data) return null;
  return html`
    <section aria-labelledby="recent">
      <div class="spread section-head"><h2 id="recent">${t("overview.recent")}</h2><a href=${hrefOf("requests")}>${t("overview.recent.all")}</a></div>
      ${data.requests.length === 0
        ? html`<p class="meta">${t("overview.recent.none")}</p>`
        : html`<${Rows} rows=${data.requests} />`}
    </section>
  `;
}

function Rows({ rows }) {
  return html`
    <div class="table-box">
      <table class="table" aria-labelledby="recent">
        <thead><tr>
          <th scope="col">${t("overview.when")}</th><th scope="col" class="wide">${t("overview.client")}</th>
          <th scope="col">${t("overview.model")}</th><th scope="col" class="wide">${t("overview.account")}</th>
          <th scope="col" class="n wide">${t("overview.first.short")}</th><th scope="col" class="n wide">${t("overview.tokens")}</th>
          <th scope="col" class="n wide">${t("overview.credits.short")}</th><th scope="col">${t("overview.result")}</th>
        </tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.id} row=${row} />`)}</tbody>
      </table>
    </div>
  `;
}

function Row({ row }) {
  const tone = row.outcome === "ok" ? "ok" : row.outcome === "client_left" ? "off" : "bad";
  return html`
    <tr>
      <td><a href=${hrefOf("requests", { request: row.id })}>${shortMoment(row.at)}</a></td>
      <td class="wide text">${row.client ?? row.dialect}</td>
      <td class="text">${row.model ?? row.model_asked}</td>
      <td class="wide text">${row.account ?? ""}</td>
      <td class="n wide">${milliseconds(row.timings?.first_byte_ms)}</td>
      <td class="n wide">${tokens(row)}</td>
      <td class="n wide">${row.credits === null ? "" : amount(row.credits)}</td>
      <td><${StateDot} tone=${tone}>${result(row)}<//></td>
    </tr>
  `;
}

function tokens({ tokens: used }) {
  if (!used) return "";
  const all = (used.input ?? 0) + (used.cache_read ?? 0) + (used.cache_write ?? 0) + (used.output ?? 0);
  return estimated(all, used.estimated);
}

function result({ outcome, attempts = [] }) {
  const word = outcome === "ok" ? t("overview.done") : outcome === "client_left" ? t("overview.left") : outcome;
  return attempts.length > 1 ? `${word}, ${t("overview.attempts", { count: attempts.length })}` : word;
}
