// The overview: can it answer, what needs doing, what was done, how to connect.

import { exceptions, nameOf, readiness, tally, whatHappened, whatNow } from "../accounts/account.js";
import { Card, Cure } from "../accounts/card.js";
import { State } from "../accounts/parts.js";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { Connect } from "../overview/connect.js";
import { Figures } from "../overview/figures.js";
import { Recent } from "../overview/recent.js";
import { hrefOf } from "../router.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { t } from "../words.js";

const FEW = 6; // cards that are shown here
const WAITING = ["needs_login", "suspended"];

export default function Overview() {
  const { data: overview, error, again } = useAnswer("/v2/overview", { every: 5000 });
  const { data: accounts, error: refused, again: anew } = useAnswer("/v2/accounts", { every: 5000 });
  const counts = accounts ? tally(accounts) : null;
  const total = accounts?.length ?? 0;
  const ready = counts?.ready ?? 0;
  const waiting = (accounts ?? []).filter(({ state }) => WAITING.includes(state));
  const sentence = total === 0 ? t("overview.none") : t(ready > 0 ? "overview.go" : "overview.stop");
  const sub = counts && [sentence, exceptions(counts)].filter(Boolean).join(" ");
  return html`
    <${Page} title=${counts ? readiness(counts) : t("page.overview")} sub=${sub}>
      ${(refused ?? error) && html`<${Problem} error=${refused ?? error} again=${() => Promise.all([again(), anew()])} />`}
      ${waiting.slice(0, 3).map((account) => html`<${Waits} key=${account.id} account=${account} changed=${anew} />`)}
      ${waiting.length > 3 && html`<p class="after"><a href=${hrefOf("accounts")}>${t("overview.more", { count: waiting.length - 3 })}</a></p>`}
      ${overview && html`<${Figures} overview=${overview} />`}
      ${accounts && total === 0 && html`<${First} />`}
      ${total > 0 && html`
        <section aria-labelledby="accounts">
          <div class="spread section-head"><h2 id="accounts">${t("page.accounts")}</h2><a href=${hrefOf("accounts")}>${t("overview.accounts.all")}</a></div>
          <div class="cards">${accounts.slice(0, FEW).map((account) => html`<${Card} key=${account.id} account=${account} changed=${anew} />`)}</div>
        </section>`}
      <${Connect} keyless=${overview?.development_mode ?? null} />
      ${overview && html`<${Recent} />`}
    <//>
  `;
}

function Waits({ account, changed }) {
  return html`
    <div class="callout ${account.state === "suspended" ? "bad" : "warn"}">
      <div><${State} account=${account} /> <b class="name">${nameOf(account)}</b>
        <p class="text">${whatHappened(account)}</p>
        <p>${whatNow(account)}</p></div>
      <${Cure} account=${account} changed=${changed} kind="primary" />
    </div>
  `;
}

function First() {
  return html`
    <section>
      <${Empty} title=${t("overview.first.account")}>
        <p>${t("account.empty.what")}</p>
        <div class="actions">
          <a class="button primary" href=${hrefOf("accounts", { login: "new" })}>${t("account.add")}</a>
          <a class="button" href=${hrefOf("accounts", { import: "1" })}>${t("account.import")}</a>
        </div>
      <//>
    </section>
  `;
}
