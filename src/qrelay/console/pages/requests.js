// Requests: what was asked of the gateway, as it ends. Filters and the open row are in the URL.

import { useMemo, useRef, useState } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { FILTERS } from "../requests/log.js";
import { columns, DIALECTS } from "../requests/row.js";
import { useRequests } from "../requests/use_requests.js";
import { go, hrefOf, place, useQuery } from "../router.js";
import { useStore } from "../store.js";
import { Button } from "../ui/button.js";
import { Field } from "../ui/field.js";
import { later } from "../ui/later.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { Table } from "../ui/table.js";
import { t } from "../words.js";

const RequestDrawer = later(async () => (await import("../requests/drawer.js")).RequestDrawer);

const NEAR_END = 2000; // px: the next page is asked for before the last row is seen

export default function Requests() {
  const { query } = useStore(place);
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const filtered = FILTERS.some((name) => filters[name]);
  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const [id, setId] = useQuery("id");
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  // Rows that somebody reads don't move: what ends meanwhile waits until they are back at the top.
  const { rows, held, more, ready, error, live, load } = useRequests(filters, paused || away);
  const shown = useMemo(columns, []);
  const overview = useAnswer("/v2/overview", { every: 5000 });
  const scrolled = ({ target }) => {
    setAway(target.scrollTop > 0);
    if (more && target.scrollTop + target.clientHeight > target.scrollHeight - NEAR_END) void load();
  };
  const toTop = () => {
    box.current?.querySelector(".table-box")?.scrollTo(0, 0);
    setAway(false);
    setPaused(false);
  };
  const actions = html`
    <${StateDot} tone=${paused ? "off" : live === "live" ? "ok" : "warn"}>${t(`requests.live.${paused ? "paused" : live}`)}<//>
    <${Button} act=${() => (paused ? toTop() : setPaused(true))}>${t(paused ? "requests.resume" : "requests.pause")}<//>
  `;
  return html`
    <${Page} title=${titleOf(overview.data)} sub=${t("requests.sub")} actions=${actions}>
      ${(filtered || rows.length > 0 || !ready) && html`<${Filters} filters=${filters} rows=${rows} filtered=${filtered} />`}
      ${error && html`<${Problem} error=${error} again=${load} />`}
      <p class="news" role="status">
        ${held > 0 && html`<${Button} kind="quiet" act=${toTop}>${t("requests.news", { count: held })}<//>`}
      </p>
      <div class="log" ref=${box} onScrollCapture=${scrolled}>
        ${rows.length > 0 &&
        html`<${Table} label=${t("page.requests")} columns=${shown} rows=${rows} rowKey=${(row) => row.id} open=${(row) => setId(row.id, { push: true })} />`}
      </div>
      ${ready && !error && !rows.length && html`<${Nothing} filtered=${filtered} />`}
      ${more && ready && rows.length > 0 && html`<p class="more"><${Button} act=${load}>${t("requests.older")}<//></p>`}
      ${id && html`<${Opened} id=${id} row=${rows.find((row) => row.id === id) ?? null} onClose=${() => setId("")} />`}
    <//>
  `;
}

/** The open row: one of those at hand, else asked for by its id. */
function Opened({ id, row, onClose }) {
  const asked = useAnswer(row ? null : `/v2/requests/${encodeURIComponent(id)}`);
  return html`<${RequestDrawer} id=${id} row=${row ?? asked.data} error=${row ? null : asked.error} onClose=${onClose} />`;
}

function Filters({ filters, rows, filtered }) {
  const accounts = useAnswer("/v2/accounts");
  const keys = useAnswer("/v2/keys");
  const models = [...new Set([filters.model, ...rows.map((row) => row.model)])].filter(Boolean).sort();
  const options = {
    status: [["ok", t("requests.filter.ok")], ["error", t("requests.filter.error")]],
    dialect: Object.entries(DIALECTS),
    model: models.map((name) => [name, name]),
    account: (accounts.data ?? []).map(({ id, label }) => [id, label || id]),
    key: (keys.data?.keys ?? []).map(({ id, name, ending }) => [id, name || `…${ending}`]),
  };
  const set = (name, value) => {
    const kept = Object.fromEntries(Object.entries({ ...filters, [name]: value }).filter(([, one]) => one));
    go(hrefOf("requests", kept), { replace: true });
  };
  return html`
    <div class="filters narrow" role="group" aria-label=${t("requests.filters")}>
      ${FILTERS.map((name) => {
        const there = options[name];
        const known = there.some(([value]) => value === filters[name]);
        const own = filters[name] && !known ? [[filters[name], filters[name]]] : [];
        return html`<${Field} key=${name} label=${t(`requests.filter.${name}`)} value=${filters[name]} set=${(value) => set(name, value)}
          options=${[["", t("requests.filter.all")], ...own, ...there]} />`;
      })}
      ${filtered && html`<${Button} kind="quiet" act=${() => go(hrefOf("requests"), { replace: true })}>${t("requests.filter.none")}<//>`}
    </div>
  `;
}

function Nothing({ filtered }) {
  if (filtered) return html`<${Empty} title=${t("requests.nothing.filtered")} />`;
  return html`
    <${Empty} title=${t("requests.nothing")}>
      <p>${t("requests.nothing.sub")}</p>
      <p><a href=${hrefOf("playground")}>${t("requests.nothing.playground")}</a></p>
    <//>
  `;
}

function titleOf(overview) {
  if (!overview) return t("page.requests");
  const { last_24h: count, errors_last_24h: errors } = overview.requests;
  if (!count) return t("requests.title.none");
  return errors ? t("requests.title.errors", { count, errors }) : t("requests.title", { count });
}
