// Health: whether requests can be served now, and if not, why; what was checked, and what runs.

import { useAnswer } from "../answers.js";
import { span } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Copy } from "../ui/copy.js";
import { Page } from "../ui/page.js";
import { Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { Table } from "../ui/table.js";
import { has, said, t } from "../words.js";

export default function Health() {
  const { data, error, again } = useAnswer("/v2/health", { every: 3000 });
  const overview = useAnswer("/v2/overview", { every: 3000 });
  return html`
    <${Page} title=${error ? t("health.title.unknown") : titleOf(data)} sub=${t("health.sub")}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      ${data?.reasons.map(
        (reason) => html`
          <div key=${reason} class="callout warn">
            <div><${StateDot} tone="warn">${t("health.notReady")}<//> <p class="text">${inside(reason)}</p></div>
            <a class="button" href=${hrefOf("accounts")}>${t("health.accounts")}</a>
          </div>
        `,
      )}
      ${data && html`<${Checks} checks=${data.checks} engine=${engineOf(overview.data)} />`}
      ${data && html`<${Versions} versions=${data.versions} overview=${overview.data} />`}
    <//>
  `;
}

const Checks = ({ checks, engine }) => html`
  <section>
    <h2>${t("health.checks")}</h2>
    <${Table} label=${t("health.checks")} rows=${checks} rowKey=${(check) => check.name}
      columns=${[
        { key: "name", title: t("health.check"), show: ({ name }) => named(name) },
        { key: "ok", title: t("health.state"), show: ({ ok }) => html`<${StateDot} tone=${ok ? "ok" : "bad"}>${t(ok ? "health.ok" : "health.wrong")}<//>` },
        { key: "detail", title: t("health.detail"), show: ({ name, ok, detail }) => html`<span class="text">${[ok && name === "database" && engine, inside(detail ?? "")].filter(Boolean).join(" ")}</span>` },
      ]} />
  </section>
`;

const engineOf = (overview) => (overview ? { sqlite: "SQLite", postgresql: "PostgreSQL" }[overview.database] : "");

/** What the server calls a check, in the page's words where there are some. */
function named(name) {
  const key = `health.check.${name.replaceAll(" ", "_")}`;
  return has(key) ? t(key) : name;
}

/** "3 of 4 can serve", "7 requests could not be written down", and sentences without a number. */
function inside(detail) {
  const [, ready, total] = /^(\d+) of (\d+) can serve$/.exec(detail) ?? [];
  if (ready) return t("health.usable", { ready: Number(ready), total: Number(total) });
  const [, lost] = /^(\d+) requests could not be written down$/.exec(detail) ?? [];
  return lost ? t("health.lost", { count: Number(lost) }) : said(detail);
}

function Versions({ versions, overview }) {
  const told = Object.entries(versions).filter(([, version]) => version !== null);
  const text = told.map(([name, version]) => `${name} ${version}`).join("\n");
  const facts = overview
    ? [
        ["health.uptime", span(overview.uptime_seconds * 1000)],
        ["health.replicas", String(overview.replicas)],
        ["health.database", engineOf(overview)],
        ["health.url", overview.base_url],
      ]
    : [];
  return html`
    <section>
      <div class="spread section-head"><h2>${t("health.versions")}</h2><${Copy} text=${text} what=${t("health.versions")} /></div>
      <div class="card">
        <dl class="facts">
          ${facts.map(([name, value]) => html`<dt key=${name}>${t(name)}</dt><dd key="${name}-is"><bdi>${value}</bdi></dd>`)}
          ${told.map(([name, version]) => html`<dt key=${name}>${named(name)}</dt><dd key="${name}-is">${String(version)}</dd>`)}
        </dl>
      </div>
    </section>
  `;
}

function titleOf(data) {
  if (!data) return t("page.health");
  return t(data.ready ? "health.title.ready" : "health.title.notReady");
}
