// Audit: who changed what, who logged in. Names of what changed, never a value that is a secret.

import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { call } from "../api.js";
import { shortMoment } from "../format.js";
import { html } from "../html.js";
import { Button } from "../ui/button.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { Table } from "../ui/table.js";
import { has, t } from "../words.js";

const PAGE = 100;

export default function Audit() {
  const { data, error, again } = useAnswer(`/v2/audit?limit=${PAGE}`, { every: 10_000 });
  const [older, setOlder] = useState(/** @type {{entries: any[], next?: number | null}} */ ({ entries: [] }));
  const entries = joined(data?.entries ?? [], older.entries);
  const next = older.next === undefined ? data?.next : older.next;
  const more = async () => {
    const found = await call(`/v2/audit?limit=${PAGE}&before=${next}`);
    setOlder({ entries: [...older.entries, ...found.entries], next: found.next });
  };
  useEffect(() => {
    // Beyond a page that moved on, what was between is fetched again from its end.
    const last = data?.entries.at(-1)?.seq;
    if (older.entries.length && last !== undefined && last > older.entries[0].seq + 1) setOlder({ entries: [] });
  }, [data]);
  return html`
    <${Page} title=${titleOf(entries)} sub=${t("audit.sub")}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      ${entries.length > 0 && html`<${Table} label=${t("page.audit")} columns=${columns()} rows=${entries} rowKey=${(entry) => String(entry.seq)} />`}
      ${data && !entries.length && html`<${Empty} title=${t("audit.nothing")}><p>${t("audit.nothing.sub")}</p><//>`}
      ${next != null && html`<p class="more"><${Button} act=${more}>${t("audit.older")}<//></p>`}
    <//>
  `;
}

const columns = () => [
  { key: "at", title: t("audit.when"), show: ({ at }) => html`<span class="whole">${shortMoment(at)}</span>` },
  { key: "action", title: t("audit.action"), show: ({ action }) => said("action", action) },
  { key: "target", title: t("audit.target"), room: "wide", show: ({ target, target_name: name }) => html`<${Target} id=${target} name=${name} />` },
  { key: "actor", title: t("audit.actor"), room: "wider", show: ({ actor, peer }) => html`<span class="whole">${said("actor", actor)}</span> ${peer && html`<span class="meta whole"><bdi>${peer}</bdi></span>`}` },
  { key: "status", title: t("audit.result"), show: ({ status }) => html`<${Result} status=${status} />` },
  { key: "detail", title: t("audit.detail"), room: "wider", show: ({ detail }) => html`<span class="meta text">${told(detail)}</span>` },
];

/** What was changed: an account or a key by what it is called now; one that is gone by its id's first characters. */
function Target({ id, name }) {
  if (!id) return null;
  return html`<span class="text" title=${id}>${name ?? (/^[0-9a-f-]{36}$/.test(id) ? `${id.slice(0, 8)}…` : id)}</span>`;
}

function Result({ status }) {
  if (status === null) return html`<${StateDot} tone="warn">${t("unknown")}<//>`;
  return html`<${StateDot} tone=${status < 400 ? "ok" : "bad"}>${status < 400 ? t("audit.done") : t("audit.refused", { status: String(status) })}<//>`;
}

/** The server's word in the page's language, where it has one. */
const said = (kind, name) => (has(`audit.${kind}.${name}`) ? t(`audit.${kind}.${name}`) : name);

function told(detail) {
  const { members = [], error, ...rest } = detail ?? {};
  const others = Object.entries(rest).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  if (error) others.unshift(has(`code.${error}`) ? t(`code.${error}`) : error);
  return [members.join(", "), ...others].filter(Boolean).join(" · ");
}

function joined(newest, older) {
  const last = newest.at(-1)?.seq ?? Infinity;
  return [...newest, ...older.filter(({ seq }) => seq < last)];
}

function titleOf(entries) {
  if (!entries.length) return t("page.audit");
  return t("audit.title", { when: shortMoment(entries[0].at) });
}
