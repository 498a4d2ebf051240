// Usage: requests, tokens and credits over time, by model, account or key. Range and grouping are in the URL.

import { useMemo, useState } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { amount, estimated, large, moment, number } from "../format.js";
import { html } from "../html.js";
import { hrefOf, useQuery } from "../router.js";
import { Choice, Field } from "../ui/field.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { Table } from "../ui/table.js";
import { useNow } from "../ui/time.js";
import { Chart, colour } from "../usage/chart.js";
import { columns, MEASURES, period, RANGES } from "../usage/series.js";
import { t } from "../words.js";

const GROUPINGS = ["model", "account", "key", "dialect", "none"];

export default function Usage() {
  const [range, setRange] = useQuery("range", "24h");
  const [by, setBy] = useQuery("by", "model");
  const [measure, setMeasure] = useQuery("show", "credits");
  const shown = MEASURES[measure] ? measure : "credits";
  const hour = Math.floor(useNow(60_000) / 3600e3);
  const { from, to, step } = useMemo(() => period(range, new Date(hour * 3600e3)), [range, hour]);
  const asked = new URLSearchParams({ from, to, step, by: GROUPINGS.includes(by) ? by : "model" });
  const { data, error, again } = useAnswer(`/v2/usage?${asked}`, { every: 15_000 });
  const csv = html`<a class="button" download="qrelay-usage.csv" href="/v2/usage?${asked}&format=csv">${t("usage.csv")}</a>`;
  return html`
    <${Page} title=${titleOf(data, range)} sub=${t("usage.sub")} actions=${data?.totals.requests > 0 && csv}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      <div class="filters">
        <${Choice} label=${t("usage.range")} value=${range} set=${setRange} options=${Object.keys(RANGES).map((name) => [name, t(`usage.range.${name}`)])} />
        <${Choice} label=${t("usage.show")} value=${shown} set=${setMeasure} options=${Object.keys(MEASURES).map((name) => [name, t(`usage.show.${name}`)])} />
        <${Field} label=${t("usage.by")} value=${by} set=${setBy} options=${GROUPINGS.map((name) => [name, t(`usage.by.${name}`)])} />
      </div>
      ${data && (data.totals.requests ? html`<${Told} data=${data} measure=${shown} by=${by} />` : html`<${Nothing} />`)}
    <//>
  `;
}

function Told({ data, measure, by }) {
  const { times, lines } = useMemo(() => columns(data, measure), [data, measure]);
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const shown = at !== null && at < times.length ? at : null;
  const isEstimate = ({ group }) => Boolean((group === null ? data.totals : data.groups.find((row) => row.group === group))?.estimated);
  const label = t("usage.chart", { measure: t(`usage.show.${measure}`), by: t(`usage.by.${by}`) });
  return html`
    <div class="card">
      <${Chart} label=${label} times=${times} lines=${lines} daily=${data.step === "day"} point=${setAt} />
      <p class="meta">${shown === null ? t("usage.all") : moment(times[shown] * 1000)}</p>
      <ul class="legend">
        ${lines.map((line, place) => html`<${Line} key=${place} line=${line} place=${place} at=${shown} measure=${measure} isEstimate=${isEstimate(line)} />`)}
      </ul>
    </div>
    <section>
      <h2>${t("usage.table")}</h2>
      <${Table} label=${t("usage.table")} columns=${tableColumns(by)} rows=${data.groups} rowKey=${(row) => String(row.group)} sort="-credits" />
    </section>
  `;
}

/** A line's name with its sum, or its value where the pointer is. */
function Line({ line, place, at, measure, isEstimate }) {
  const value = at === null ? line.values.reduce((sum, one) => sum + one, 0) : line.values[at];
  return html`
    <li>
      <i class=${place >= 4 ? "dashed" : ""} style=${{ borderColor: colour(place) }}></i>
      <bdi>${line.group === null ? t("usage.rest") : nameOf(line)}</bdi> <b>${shownAs(measure, value, isEstimate)}</b>
    </li>
  `;
}

function shownAs(measure, value, isEstimate) {
  if (measure === "credits") return amount(value);
  return estimated(value, measure === "tokens" && isEstimate && value > 0);
}

const nameOf = ({ name, group }) => name || group || t("usage.unnamed");

function tableColumns(by) {
  const count = (key) => ({ key, title: t(`usage.${key}`), number: true, show: (row) => number(row[key]), sort: (row) => row[key] });
  const tokens = (key) => ({
    ...count(key),
    room: "wide",
    show: (row) => estimated(row[key], Boolean(row.estimated && row[key])),
  });
  return [
    { key: "name", title: t(`usage.by.${by}`), show: (row) => html`<${Name} row=${row} by=${by} />` },
    count("requests"),
    { ...count("errors"), room: "wide" },
    tokens("input_tokens"),
    tokens("cache_read_tokens"),
    tokens("cache_write_tokens"),
    tokens("output_tokens"),
    { key: "credits", title: t("usage.credits"), number: true, show: (row) => amount(row.credits ?? 0), sort: (row) => row.credits ?? 0 },
  ];
}

/** A group's name is a way to its requests. */
function Name({ row, by }) {
  if (by === "none" || !row.group) return html`<bdi>${nameOf(row)}</bdi>`;
  return html`<a href=${hrefOf("requests", { [by]: row.group })}><bdi>${nameOf(row)}</bdi></a>`;
}

const Nothing = () => html`
  <${Empty} title=${t("usage.nothing")}>
    <p>${t("usage.nothing.sub")}</p>
    <p><a href=${hrefOf("playground")}>${t("usage.nothing.playground")}</a></p>
  <//>
`;

function titleOf(data, range) {
  if (!data) return t("page.usage");
  const { totals } = data;
  if (!totals.requests) return t("usage.title.none", { range: t(`usage.range.${range}`) });
  const tokens = MEASURES.tokens(totals);
  return t("usage.title", { credits: amount(totals.credits ?? 0), tokens: `${totals.estimated ? "≈\u00a0" : ""}${large(tokens)}`, range: t(`usage.range.${range}`) });
}
