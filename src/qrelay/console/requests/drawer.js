// One request, all that is known of it: where its time went, every attempt, figures and names. No text: none is kept.

import { amount, estimated, milliseconds, moment } from "../format.js";
import { html } from "../html.js";
import { Copy } from "../ui/copy.js";
import { Drawer } from "../ui/dialog.js";
import { Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { Table } from "../ui/table.js";
import { said, t } from "../words.js";
import { DIALECTS, program, Result, wordOf } from "./row.js";
import { spans } from "./timeline.js";

/** @param {{id: string, row: any, error: any, onClose: () => void}} props `row` null: it is being asked for */
export function RequestDrawer({ id, row, error, onClose }) {
  return html`
    <${Drawer} title=${row ? titleOf(row) : t("requests.one")} onClose=${onClose}>
      ${error ? html`<${Problem} error=${error} />` : row ? html`<${Told} row=${row} />` : html`<p class="meta">${t("loading")}</p>`}
      <p class="meta">${t("requests.noText")}</p>
      ${!row && html`<p class="meta"><code>${id}</code></p>`}
    <//>
  `;
}

function titleOf(row) {
  const time = milliseconds(row.timings.duration_ms);
  if (row.outcome === "ok") return t("requests.one.ok", { time });
  return row.outcome === "client_left" ? t("requests.one.left", { time }) : t("requests.one.failed", { time });
}

function Told({ row }) {
  return html`
    <div class="stack" tabindex="-1" autofocus>
      <${Result} row=${row} />
      ${row.error && html`<p class="text">${row.error}</p>`}
      ${row.remedy && html`<p class="meta">${said(row.remedy)}</p>`}
    </div>
    <${Timeline} timings=${row.timings} />
    ${row.attempts.length > 0 && html`<${Attempts} attempts=${row.attempts} />`}
    <${Facts} row=${row} />
  `;
}

function Timeline({ timings }) {
  const found = spans(timings);
  const whole = timings.duration_ms || 1;
  return html`
    <section>
      <h3>${t("requests.timeline")}</h3>
      <ol class="timeline">
        ${found.map(
          ({ name, from, length }) => html`
            <li key=${name}>
              <span>${t(`requests.span.${name}`)}</span><span class="n">${milliseconds(length)}</span>
              <div class="track" aria-hidden="true">
                <i class=${name} style=${{ left: `${(from / whole) * 100}%`, width: `${(length / whole) * 100}%` }}></i>
              </div>
            </li>
          `,
        )}
        <li><b>${t("requests.span.whole")}</b><b class="n">${milliseconds(timings.duration_ms)}</b></li>
      </ol>
    </section>
  `;
}

function Attempts({ attempts }) {
  const columns = [
    { key: "account", title: t("requests.account"), show: (one) => html`<bdi>${one.account ?? one.account_id}</bdi>` },
    { key: "endpoint", title: t("requests.endpoint"), show: (one) => one.endpoint ?? "" },
    { key: "outcome", title: t("requests.result"), show: (one) => html`<${StateDot} tone=${one.outcome === "ok" ? "ok" : "bad"}>${one.outcome === "ok" ? t("requests.done") : wordOf(one.outcome)}<//>` },
    { key: "ms", title: t("requests.time"), number: true, show: (one) => milliseconds(one.ms) },
  ];
  const rows = attempts.map((attempt, at) => ({ ...attempt, at }));
  return html`
    <section>
      <h3>${t("requests.attempts", { count: attempts.length })}</h3>
      <${Table} label=${t("requests.attempts", { count: attempts.length })} columns=${columns} rows=${rows} rowKey=${(one) => String(one.at)} />
    </section>
  `;
}

function Facts({ row }) {
  const { tokens } = row;
  const count = (value) => (value == null ? null : estimated(value, tokens.estimated));
  const facts = [
    ["when", moment(row.at)],
    ["client", program(row)],
    ["api", DIALECTS[row.dialect] ?? row.dialect],
    ["streamed", row.stream == null ? null : t(row.stream ? "requests.yes" : "requests.no")],
    ["asked", row.model_asked],
    ["model", row.model],
    ["account", row.account],
    ["key", row.key],
    ["status", String(row.status)],
    ["code", row.outcome === "ok" || row.outcome === "client_left" ? null : row.outcome],
    ["input", count(tokens.input)],
    ["cacheRead", tokens.cache_read ? count(tokens.cache_read) : null],
    ["cacheWrite", tokens.cache_write ? count(tokens.cache_write) : null],
    ["output", count(tokens.output)],
    ["credits", row.credits == null ? null : amount(row.credits)],
    ["adjusted", row.adjusted?.join(", ")],
    ["ignored", row.ignored?.join(", ")],
  ];
  const ids = [["id", row.id], ["upstream", row.upstream_request_id]];
  return html`
    <dl class="facts">
      ${facts.map(([name, value]) => value && html`<dt key=${name}>${t(`requests.fact.${name}`)}</dt><dd key="${name}-is"><bdi>${value}</bdi></dd>`)}
      ${ids.map(
        ([name, value]) =>
          value &&
          html`<dt key=${name}>${t(`requests.fact.${name}`)}</dt>
            <dd key="${name}-is"><code>${value}</code> <${Copy} text=${value} what=${t(`requests.fact.${name}`)} /></dd>`,
      )}
    </dl>
  `;
}
