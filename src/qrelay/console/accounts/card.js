// An account as a card: what one looks for at a glance, and the one button it needs now.

import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Button } from "../ui/button.js";
import { t } from "../words.js";
import { failing, nameOf, resting, whatHappened, whatNow } from "./account.js";
import { switchOn } from "./actions.js";
import { Happened, kindOf, Quota, State, Token } from "./parts.js";

/**
 * @param {{account: import("./account.js").Account, strategy?: string, changed: () => unknown}} props `strategy`: the
 *   gateway's; which account is the active one matters to one of them only
 */
export function Card({ account, strategy, changed }) {
  const happened = whatHappened(account);
  const now = whatNow(account);
  const models = resting(account);
  const failed = failing(account);
  const known = nameOf(account);
  return html`
    <article class="card account" aria-label=${known}>
      <div class="spread">
        <h3><a class="name" href=${hrefOf("accounts", { account: account.id })}>${known}</a></h3>
        <${State} account=${account} />
      </div>
      <div class="meta text">${kindOf(account)}${account.is_active && strategy === "active" ? ` · ${t("account.active")}` : ""}</div>
      <${Quota} account=${account} />
      <div class="spread meta">
        <${Token} account=${account} />
        ${account.in_flight !== undefined && html`<span>${t("account.flight", { count: account.in_flight })}</span>`}
      </div>
      ${(happened || now || failed > 0 || models.length > 0) && html`
        <div class="remark meta">
          ${failed > 0 && html`<p>${t("account.failing", { count: failed })}</p><${Happened} text=${account.last_error} />`}
          ${now && html`<p>${now}</p>`}
          <${Happened} text=${happened} />
          ${models.map(({ model, reason }) => html`<p key=${model} class="text">${model}: ${reason ?? t("account.resting")}</p>`)}
          <${Cure} account=${account} changed=${changed} />
        </div>
      `}
    </article>
  `;
}

/** The button that mends its state, if one does. There may be many on a page: each says whose it is. */
export function Cure({ account, changed, kind = "quiet" }) {
  const whose = (word) => ({ "aria-label": `${word}: ${nameOf(account)}` });
  if (account.state === "needs_login" && account.kind !== "api_key") {
    const word = t("account.login.again");
    return html`<a class="button ${kind}" href=${hrefOf("accounts", { login: account.id })} ...${whose(word)}>${word}</a>`;
  }
  if (account.state === "disabled" || account.state === "suspended") {
    const word = t(account.state === "disabled" ? "account.on" : "account.reuse");
    return html`<${Button} kind=${kind} ...${whose(word)} act=${() => switchOn(account, true, changed)}>${word}<//>`;
  }
  return null;
}
