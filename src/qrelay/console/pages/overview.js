// The overview: can it answer, what needs doing, what was done, how to connect.

import { exceptions, nameOf, readiness, whatHappened, whatNow } from "../accounts/account.js";
import { Card, Cure } from "../accounts/card.js";
import { Happened, State } from "../accounts/parts.js";
import { useAnswer } from "../answers.js";
import { html } from "../html.js";
import { Figures } from "../overview/figures.js";
import { hrefOf } from "../router.js";
import { later } from "../ui/later.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { language, speak, t } from "../words.js";

const Connect = later(async () => (await import("../overview/connect.js")).Connect);
const Recent = later(async () => {
  const [{ Recent: found }] = await Promise.all([import("../overview/recent.js"), speak("requests"), speak("errors")]);
  return found;
});

const FEW = 6; // cards that are shown here
const FIRST = 3; // accounts that wait for somebody
const WAITING = ["needs_login", "suspended"];

export default function Overview() {
  const { data: overview, error, again } = useAnswer("/v2/overview", { every: 5000 });
  const counts = overview?.accounts ?? null;
  const many = (counts?.total ?? 0) > FEW;
  const { data: accounts, error: refused, again: anew } = useAnswer(`/v2/accounts?${many ? "state=ready,cooling&" : ""}limit=${FEW}`, { every: 5000 });
  const asked = useAnswer(many ? `/v2/accounts?state=${WAITING}&limit=${FIRST}` : null, { every: 5000 });
  const waiting = (many ? asked.data : accounts)?.filter(({ state }) => WAITING.includes(state)).slice(0, FIRST) ?? [];
  const others = WAITING.reduce((sum, state) => sum + (counts?.[state] ?? 0), 0) - waiting.length;
  const total = counts?.total ?? 0;
  const sentence = total === 0 ? t("account.title.none.sub") : t(counts.ready > 0 ? "overview.go" : "overview.stop");
  const sub = counts && [sentence, exceptions(counts)].filter(Boolean).join(language() === "zh" ? "" : " ");
  const changed = () => Promise.all([again(), anew(), asked.again()]);
  return html`
    <${Page} title=${counts ? readiness(counts) : t("page.overview")} sub=${sub}>
      ${(refused ?? error) && html`<${Problem} error=${refused ?? error} again=${changed} />`}
      ${waiting.map((account) => html`<${Waits} key=${account.id} account=${account} changed=${changed} />`)}
      ${waiting.length > 0 && others > 0 && html`<p class="others"><a href=${hrefOf("accounts", { state: waiting[0].state })}>${t("overview.more", { count: others })}</a></p>`}
      ${counts && total === 0 && html`<${First} />`}
      ${overview && (total > 0 || overview.requests?.last_24h > 0) && html`<${Figures} overview=${overview} />`}
      ${total > 0 && accounts?.length > 0 && html`
        <section aria-labelledby="accounts">
          <div class="spread section-head"><h2 id="accounts">${t("page.accounts")}</h2><a href=${hrefOf("accounts")}>${many ? t("overview.accounts.all", { count: total }) : t("overview.accounts.manage")}</a></div>
          <div class="cards">${accounts.map((account) => html`<${Card} key=${account.id} account=${account} strategy=${overview.strategy} changed=${changed} />`)}</div>
        </section>`}
      ${overview && html`<${Connect} keyless=${overview.development_mode} />`}
      ${overview && html`<${Recent} />`}
    <//>
  `;
}

function Waits({ account, changed }) {
  return html`
    <div class="callout ${account.state === "suspended" ? "bad" : "warn"}">
      <div><${State} account=${account} /> <b class="name">${nameOf(account)}</b>
        <p>${whatNow(account)}</p>
        <${Happened} text=${whatHappened(account)} /></div>
      <${Cure} account=${account} changed=${changed} kind="primary" />
    </div>
  `;
}

function First() {
  return html`
    <${Empty} title=${t("overview.first.account")}>
      <p>${t("account.empty.what")}</p>
      <div class="actions">
        <a class="button primary" href=${hrefOf("accounts", { login: "new" })}>${t("account.add")}</a>
        <a class="button" href=${hrefOf("accounts", { import: "1" })}>${t("account.import")}</a>
      </div>
    <//>
  `;
}
