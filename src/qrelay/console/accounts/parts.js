// The pieces an account is shown with: its state, what it has left, how long its token is good.

import { amount, percent, relative } from "../format.js";
import { html } from "../html.js";
import { Meter, StateDot } from "../ui/state.js";
import { Countdown, Time, useNow } from "../ui/time.js";
import { around, t } from "../words.js";
import { creditsOf, TONES, usedShare } from "./account.js";

/** What the gateway was told, in whatever words that came. @param {{text: string | null}} props */
export const Happened = ({ text }) => text && html`<p class="meta text quote">${text}</p>`;

/** @param {{account: import("./account.js").Account}} props */
export function State({ account }) {
  const { state: name, cooling_until: until } = account;
  const state = t(`account.state.${name}`);
  const left = name === "cooling" && until && html`<${Countdown} until=${until} />`;
  return html`
    <${StateDot} tone=${TONES[name] ?? "off"}>
      <span>${left ? around("account.state.left", left, { state }) : state}</span>
    <//>
  `;
}

/** @param {{account: import("./account.js").Account}} props */
export function Quota({ account }) {
  const { quota } = account;
  const share = usedShare(account);
  const credits = creditsOf(account);
  if (!quota || share === null || credits === null) {
    return html`<div><${Meter} share=${null} label=${t("account.quota.unknown")} /><p class="meta">${t("account.quota.unknown")}</p></div>`;
  }
  return html`
    <div>
      <${Meter} share=${share} label=${t("account.quota.used", { share: percent(share) })} />
      <div class="spread meta">
        <span>${t("account.quota.left", { left: amount(credits.left), limit: amount(credits.total) })}</span>
        ${quota.resets_at && html`<span>${around("account.quota.resets", html`<${Time} at=${quota.resets_at} />`)}</span>`}
      </div>
      ${quota.stale && html`<p class="meta">${quota.read_at ? around("account.quota.stale", html`<${Time} at=${quota.read_at} />`) : t("account.quota.old")}</p>`}
    </div>
  `;
}

/** @param {{account: import("./account.js").Account}} props */
export function Token({ account }) {
  const now = useNow(5000);
  if (account.kind === "api_key") return html`<span>${t("account.token.key")}</span>`;
  if (!account.accessToken) return html`<span>${t("account.token.none")}</span>`;
  if (!account.expiresAt) return html`<span>${t("account.token.unknown")}</span>`;
  const left = Date.parse(account.expiresAt) - now;
  if (left <= 0) return html`<span>${t("account.token.over", { when: relative(left) })}</span>`;
  return html`<span>${around("account.token.good", html`<${Countdown} until=${account.expiresAt} />`)}</span>`;
}

/** Builder ID, Identity Center, … with what tells it from another. @param {import("./account.js").Account} account */
export function kindOf(account) {
  const region = account.region && account.region !== "us-east-1" ? account.region : null;
  const plan = account.quota?.plan;
  return [t(`account.kind.${account.kind}`), plan, account.email, region].filter(Boolean).join(" · ");
}
