// One account: everything there is to know of it, and everything that can be done with it.

import { useState } from "preact/hooks";
import { call } from "../api.js";
import { amount, moment, shortMoment } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Button } from "../ui/button.js";
import { Drawer } from "../ui/dialog.js";
import { Field } from "../ui/field.js";
import { Problem } from "../ui/problem.js";
import { Countdown } from "../ui/time.js";
import { say } from "../ui/toasts.js";
import { t } from "../words.js";
import { grantsOf, nameOf, resting, whatHappened, whatNow } from "./account.js";
import { change, drop, makeActive, refresh, switchOn, test } from "./actions.js";
import { Happened, kindOf, Quota, State, Token } from "./parts.js";

/** @param {{account: import("./account.js").Account, changed: () => Promise<unknown>, onClose: () => void}} props */
export function AccountDrawer({ account, changed, onClose }) {
  const [editing, setEditing] = useState(false);
  const [tested, setTested] = useState(/** @type {string | Error | null} */ (null));
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const seen = asked ? { ...account, quota: { ...account.quota, ...asked } } : account;
  const canLogIn = account.kind !== "api_key";
  const tryIt = async () => {
    setTested(null);
    try {
      setTested(await test(account, changed));
    } catch (error) {
      setTested(error);
    }
  };
  const leave = async () => {
    await drop(account, changed);
    onClose();
  };
  const askQuota = async () => {
    setAsked(await call(`/v2/accounts/${encodeURIComponent(account.id)}/quota`));
    say(t("accounts.said.quota"));
  };
  return html`
    <${Drawer} title=${nameOf(account)} onClose=${onClose}>
      <div class="spread"><${State} account=${account} /><span class="meta text">${kindOf(account)}</span></div>
      <${Trouble} account=${account} />
      <${Quota} account=${seen} />
      <div class="spread meta"><${Token} account=${account} /><span>${t("account.flight", { count: account.in_flight ?? 0 })}</span></div>
      <div class="actions">
        ${account.state === "needs_login" && canLogIn && html`<a class="button primary" href=${hrefOf("accounts", { login: account.id })}>${t("account.login.again")}</a>`}
        ${account.state === "suspended" && html`<${Button} kind="primary" act=${() => switchOn(account, true, changed)}>${t("account.reuse")}<//>`}
        <${Button} act=${tryIt}>${t("accounts.test")}<//>
        ${canLogIn && html`<${Button} act=${() => refresh(account, changed)}>${t("accounts.refresh")}<//>`}
        <${Button} act=${askQuota}>${t("accounts.quota.ask")}<//>
        <${Button} act=${() => switchOn(account, !account.enabled, changed)}>${t(account.enabled ? "account.off" : "account.on")}<//>
        ${!account.is_active && html`<${Button} act=${() => makeActive(account, changed)}>${t("accounts.activate")}<//>`}
        ${!editing && html`<${Button} act=${() => setEditing(true)}>${t("accounts.edit")}<//>`}
        ${account.state !== "needs_login" && canLogIn && html`<a class="button" href=${hrefOf("accounts", { login: account.id })}>${t("account.login.again")}</a>`}
        <${Button} kind="danger" act=${leave}>${t("accounts.delete")}<//>
      </div>
      <div aria-live="polite">
        ${tested instanceof Error ? html`<${Problem} error=${tested} />` : tested && html`<p class="callout info">${tested}</p>`}
      </div>
      ${editing && html`<${Edit} account=${account} changed=${changed} onClose=${() => setEditing(false)} />`}
      <${Facts} account=${account} />
    <//>
  `;
}

function Trouble({ account }) {
  const happened = whatHappened(account);
  const now = whatNow(account);
  const models = resting(account);
  if (!happened && !now && models.length === 0) return null;
  return html`
    <div class="callout ${account.state === "ready" ? "info" : "warn"}">
      <div class="stack">
        ${now && html`<p>${now}</p>`}
        <${Happened} text=${happened} />
        ${models.map(({ model, reason, until }) => html`
          <p key=${model} class="text">${model}: ${reason ?? t("account.resting")} (<${Countdown} until=${until} />)</p>`)}
      </div>
    </div>
  `;
}

function Edit({ account, changed, onClose }) {
  const [label, setLabel] = useState(account.label ?? "");
  const [profile, setProfile] = useState(account.profileArn ?? "");
  const save = async () => {
    await change(account, { label: label.trim() || null, profileArn: profile.trim() || null }, changed);
    onClose();
  };
  return html`
    <form class="form card" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label=${t("accounts.label")} value=${label} set=${setLabel} maxlength="256" autofocus />
      <${Field} label=${t("accounts.profile")} value=${profile} set=${setProfile} hint=${t("accounts.profile.hint")} />
      <div class="actions">
        <${Button} kind="primary" act=${save} type="submit">${t("save")}<//>
        <${Button} act=${onClose}>${t("cancel")}<//>
      </div>
    </form>
  `;
}

/** @param {import("./account.js").Grant} grant */
function grantOf({ name, used, limit, expires_at: ends }) {
  const figures = t("account.quota.left", { left: amount(Math.max(0, limit - used)), limit: amount(limit) });
  return [name, figures, ends && moment(ends)].filter(Boolean).join(", ");
}

const refreshOf = ({ last_refresh_status: status }) => (status === "success" ? t("accounts.fact.refreshed.well") : (status ?? ""));

function Facts({ account }) {
  const rows = [
    ["email", account.email],
    ["token", account.expiresAt && moment(account.expiresAt)],
    ["refreshed", account.last_refresh_time && `${shortMoment(account.last_refresh_time)} · ${refreshOf(account)}`],
    ["counts", t("accounts.fact.counts.value", { good: account.success_count, bad: account.error_count })],
    ["plan", account.quota?.plan],
    ["grants", account.quota && grantsOf(account.quota).map(grantOf).join(" · ")],
    ["overage", account.quota && t(account.quota.overage_allowed ? "accounts.fact.overage.yes" : "accounts.fact.overage.no")],
    ["endpoint", account.endpoint],
    ["region", account.region],
    ["start", account.startUrl],
    ["profile", account.profileArn],
    ["client", account.clientId],
    ["secret", account.clientSecret],
    ["refresh", account.refreshToken],
    ["access", account.accessToken],
    ["error", account.last_error],
    ["id", account.id],
    ["created", account.created_at && moment(account.created_at)],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`
    <dl class="facts">
      ${known.map(([key, value]) => html`<dt key=${`${key}-name`}>${t(`accounts.fact.${key}`)}</dt><dd key=${key} class="text">${value}</dd>`)}
    </dl>
  `;
}
