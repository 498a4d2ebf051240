// Accounts: who is ready and who isn't, as cards or as a table, and everything that can be done about it.
//
// In the URL: view, q (search), state, page, sort; account (its drawer), login ("new" or an id), import.

import { useMemo } from "preact/hooks";
import { exceptions, readiness, STATES, tally } from "../accounts/account.js";
import { leaving, refreshAll } from "../accounts/actions.js";
import { Card } from "../accounts/card.js";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { useQuery } from "../router.js";
import { useStore } from "../store.js";
import { Button } from "../ui/button.js";
import { Choice, Field } from "../ui/field.js";
import { later } from "../ui/later.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { t } from "../words.js";

const ImportDialog = later(async () => (await import("../accounts/bring.js")).ImportDialog);
const AccountDrawer = later(async () => (await import("../accounts/drawer.js")).AccountDrawer);
const AccountTable = later(async () => (await import("../accounts/table.js")).AccountTable);
const LogInDialog = later(async () => (await import("../accounts/log_in.js")).LogInDialog);

const AT_ONCE = 48; // cards on a page
/** Many are asked for less often: an answer is as long as there are accounts, and what one does is shown at once. */
const pace = (accounts) => Math.min(30_000, Math.max(5000, 30 * (accounts?.length ?? 0)));
const MANY = 60; // so many are a table unless cards are asked for

export default function Accounts() {
  const { data, error, again } = useAnswer("/v2/accounts", { every: pace });
  const strategy = useAnswer("/v2/overview").data?.strategy;
  const gone = useStore(leaving);
  const accounts = useMemo(() => (data ?? []).filter(({ id }) => !gone.has(id)), [data, gone]);
  const [open, setOpen] = useQuery("account");
  const [login, setLogin] = useQuery("login");
  const [bringing, setBringing] = useQuery("import");
  const byId = (id) => accounts.find((account) => account.id === id) ?? null;
  const counts = tally(accounts);
  const actions = html`
    <${Button} kind="primary" act=${() => setLogin("new", { push: true })}>${t("account.add")}<//>
    <${Button} act=${() => setBringing("1", { push: true })}>${t("account.import")}<//>
    ${accounts.length > 0 && html`<${Button} act=${() => refreshAll(again)}>${t("accounts.refresh.all")}<//>`}
  `;
  const title = data ? readiness(counts) : t("page.accounts");
  return html`
    <${Page} title=${title} sub=${data && (exceptions(counts) || t(accounts.length ? (strategy === "active" ? "account.sub.active" : "account.sub") : "account.title.none.sub", { count: accounts.length }))} actions=${accounts.length > 0 && actions}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      ${data && (accounts.length === 0
        ? html`<${Nobody} actions=${actions} />`
        : html`<${List} accounts=${accounts} strategy=${strategy} again=${again} open=${(account) => setOpen(account.id, { push: true })} />`)}
      ${open && byId(open) && html`<${AccountDrawer} key=${open} account=${byId(open)} changed=${again} onClose=${() => setOpen("")} />`}
      ${data && login && (login === "new" || byId(login)) && html`<${LogInDialog} key=${login} account=${byId(login)} changed=${again} onClose=${() => setLogin("")} />`}
      ${bringing && html`<${ImportDialog} changed=${again} onClose=${() => setBringing("")} />`}
    <//>
  `;
}

function Nobody({ actions }) {
  return html`
    <${Empty} title=${t("accounts.empty.title")}>
      <p>${t("account.empty.what")}</p>
      <ol>
        <li>${t("accounts.empty.login")}</li>
        <li>${t("accounts.empty.import")}</li>
      </ol>
      <div class="actions">${actions}</div>
    <//>
  `;
}

function List({ accounts, strategy, again, open }) {
  const [view, setView] = useQuery("view", accounts.length > MANY ? "table" : "cards");
  const [asked, setAsked] = useQuery("q");
  const [state, setState] = useQuery("state");
  const found = useMemo(() => {
    const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (account) => [account.label, account.email, account.kind, account.region].join(" ").toLowerCase();
    return accounts.filter((account) => (!state || account.state === state) && words.every((word) => text(account).includes(word) || account.id.startsWith(word)));
  }, [accounts, asked, state]);
  const states = STATES.map((name) => [name, t(`account.state.${name}`)]);
  return html`
    <h2 class="unseen">${t("page.accounts")}</h2>
    <div class="filters">
      ${accounts.length > 3 && html`
        <${Field} label=${t("accounts.search")} type="search" value=${asked} set=${setAsked} />
        <${Field} label=${t("accounts.col.state")} value=${state} set=${setState} options=${[["", t("accounts.every")], ...states]} />`}
      ${accounts.length > 1 && html`<${Choice} label=${t("accounts.view")} value=${view} set=${setView} options=${[["cards", t("accounts.view.cards")], ["table", t("accounts.view.table")]]} />`}
    </div>
    ${found.length === 0
      ? html`<p>${t("accounts.none.found")}</p>`
      : view === "table"
        ? html`<${AccountTable} accounts=${found} open=${open} />`
        : html`<${Cards} accounts=${found} strategy=${strategy} again=${again} />`}
  `;
}

function Cards({ accounts, strategy, again }) {
  const [page, setPage] = useQuery("page", "1");
  const last = Math.ceil(accounts.length / AT_ONCE);
  const at = Math.min(last, Math.max(1, Number.parseInt(page, 10) || 1));
  const shown = accounts.slice((at - 1) * AT_ONCE, at * AT_ONCE);
  return html`
    <div class="cards">${shown.map((account) => html`<${Card} key=${account.id} account=${account} strategy=${strategy} changed=${again} />`)}</div>
    ${last > 1 && html`
      <nav class="pager row" aria-label=${t("accounts.pager")}>
        <${Button} disabled=${at === 1} act=${() => setPage(String(at - 1))}>${t("accounts.pager.back")}<//>
        <span class="meta">${t("accounts.pager.at", { page: at, last })}</span>
        <${Button} disabled=${at === last} act=${() => setPage(String(at + 1))}>${t("accounts.pager.on")}<//>
      </nav>`}
  `;
}
