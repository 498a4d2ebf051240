// Settings: what holds, and where it comes from. They are changed where they come from, not here.

import { useMemo } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { useQuery } from "../router.js";
import { Copy } from "../ui/copy.js";
import { Choice, Field } from "../ui/field.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { around, said, t } from "../words.js";

export default function Settings() {
  const { data, error, again } = useAnswer("/v2/settings");
  const [search, setSearch] = useQuery("q");
  const [which, setWhich] = useQuery("show", "all");
  const rows = data?.settings ?? [];
  const shown = useMemo(() => rows.filter((row) => fits(row, search, which)), [rows, search, which]);
  return html`
    <${Page} title=${titleOf(data)} sub=${t("settings.sub")}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      <div class="filters">
        <${Field} label=${t("settings.search")} type="search" value=${search} set=${setSearch} />
        <${Choice} label=${t("settings.show")} value=${which} set=${setWhich} options=${[["all", t("settings.show.all")], ["set", t("settings.show.set")]]} />
      </div>
      <p class="unseen" role="status">${data ? t("settings.found", { count: shown.length }) : ""}</p>
      <ul class="settings">${shown.map((row) => html`<li key=${row.name}><${Setting} row=${row} /></li>`)}</ul>
      ${data && !shown.length && html`<${Empty} title=${t("settings.nothing")} />`}
    <//>
  `;
}

function Setting({ row }) {
  const value = shownAs(row.value);
  const own = row.source !== "default";
  return html`
    <div class="stack">
      <div class="row"><h2><code>${row.name}</code></h2> <${Copy} text=${row.name} what=${row.name} /></div>
      <p class="value"><code><bdi>${value}</bdi></code>
        <span class=${own ? "tag own" : "tag"}>${own ? t("settings.from", { source: row.source }) : t("settings.default")}</span></p>
    </div>
    <div class="stack meta">
      ${row.description && html`<p>${withCode(said(row.description))}</p>`}
      ${row.older_names.length > 0 && html`<p>${around("settings.older", row.older_names.map((name) => html`<code key=${name}>${name}</code> `))}</p>`}
    </div>
  `;
}

/** What stands between backticks is code. */
const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? html`<code key=${at}>${part}</code>` : part));

function shownAs(value) {
  if (value === null || value === undefined || value === "" || value === "(not set)") return t("settings.empty");
  if (value === true || value === false) return String(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function fits(row, search, which) {
  if (which === "set" && row.source === "default") return false;
  const wanted = search.trim().toLowerCase();
  return [row.name, row.description ?? "", said(row.description ?? ""), ...row.older_names].some((text) => text.toLowerCase().includes(wanted));
}

function titleOf(data) {
  if (!data) return t("page.settings");
  const count = data.settings.filter(({ source }) => source !== "default").length;
  return count ? t("settings.title", { count }) : t("settings.title.none");
}
