// How one request is told in a table's cells: when, which client, what it came to. Its drawer is `drawer.js`.

import { amount, estimated, milliseconds, shortMoment } from "../format.js";
import { html } from "../html.js";
import { StateDot } from "../ui/state.js";
import { has, t } from "../words.js";

export const DIALECTS = { messages: "Messages", chat: "Chat Completions", responses: "Responses" };

export const columns = () => [
  { key: "at", title: t("requests.when"), show: (row) => html`<span class="whole">${shortMoment(row.at)}</span>` },
  { key: "client", title: t("requests.client"), room: "wider", show: (row) => html`<bdi>${program(row) ?? t("unknown")}</bdi>` },
  { key: "model", title: t("requests.model"), show: (row) => html`<bdi>${row.model ?? row.model_asked ?? t("requests.none")}</bdi>` },
  { key: "account", title: t("requests.account"), room: "wide", show: (row) => html`<bdi>${way(row)}</bdi>` },
  { key: "first", title: t("requests.first"), room: "wider", number: true, show: (row) => first(row) },
  { key: "tokens", title: t("requests.tokens"), room: "wide", number: true, show: (row) => tokens(row) },
  { key: "credits", title: t("requests.credits"), room: "widest", number: true, show: (row) => (row.credits == null ? "" : amount(row.credits)) },
  { key: "result", title: t("requests.result"), show: (row) => html`<${Result} row=${row} />` },
];

/** Which program asked; pages of this gateway by their names in the rail. */
export function program({ client }) {
  if (client === "qrelay playground") return t("page.playground");
  return client === "qrelay docs" ? t("shell.docs") : client;
}

/** The accounts in the order they were asked: "team → work". */
export function way(row) {
  const asked = row.attempts.map((attempt) => attempt.account ?? attempt.account_id);
  const distinct = asked.filter((name, at) => name !== asked[at - 1]);
  return distinct.join(" → ") || row.account || t("requests.none");
}

const first = (row) => (row.timings.first_byte_ms == null ? "" : milliseconds(row.timings.first_byte_ms));

export function tokens({ tokens: told }) {
  if (told.input == null && told.output == null) return "";
  const sum = [told.input, told.cache_read, told.cache_write, told.output].reduce((all, one) => all + (one ?? 0), 0);
  return estimated(sum, told.estimated);
}

/** An outcome's word; one that has none is told by its code. @param {string} outcome */
export const wordOf = (outcome) => (has(`code.${outcome}`) ? t(`code.${outcome}`) : outcome);

/** What it came to, in a word. @param {{row: any}} props */
export function Result({ row }) {
  if (row.outcome === "client_left") return html`<${StateDot} tone="off">${t("requests.left")}<//>`;
  if (row.outcome !== "ok") return html`<${StateDot} tone="bad">${wordOf(row.outcome)}<//>`;
  const count = row.attempts.length;
  return html`<${StateDot} tone="ok">${count > 1 ? t("requests.done.attempts", { count }) : t("requests.done")}<//>`;
}
