// Adding an account, or logging one in again: by device code with its link, its code and a QR, or by an API key.

import { useEffect, useState } from "preact/hooks";
import { call, post } from "../api.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Button } from "../ui/button.js";
import { Copy } from "../ui/copy.js";
import { Dialog } from "../ui/dialog.js";
import { Choice, Field } from "../ui/field.js";
import { Problem } from "../ui/problem.js";
import { Countdown } from "../ui/time.js";
import { say } from "../ui/toasts.js";
import { around, t } from "../words.js";
import { nameOf } from "./account.js";

const KINDS = ["builder_id", "identity_center", "api_key", "tokens"];
const BY_CODE = ["builder_id", "identity_center"];
/** What somebody has who comes with tokens, and what it is called. */
const TOKENS = { clientId: "client", clientSecret: "secret", refreshToken: "refresh" };

/**
 * @param {{account: import("./account.js").Account | null, changed: () => Promise<unknown>, onClose: () => void}} props
 *   `account` is the one that is logged in again, null for a new one
 */
export function LogInDialog({ account, changed, onClose }) {
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const title = account ? t("accounts.login.title.again", { name: nameOf(account) }) : t("accounts.login.title");
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      ${started
        ? html`<${Waiting} started=${started} changed=${changed} onClose=${onClose} restart=${() => setStarted(null)} />`
        : html`<${Wish} account=${account} changed=${changed} onClose=${onClose} begun=${setStarted} />`}
    <//>
  `;
}

function Wish({ account, changed, onClose, begun }) {
  const [kind, setKind] = useState("builder_id");
  const [label, setLabel] = useState("");
  const [startUrl, setStartUrl] = useState("");
  const [region, setRegion] = useState("us-east-1");
  const [key, setKey] = useState("");
  const [tokens, setTokens] = useState(/** @type {Record<string, string>} */ ({ clientId: "", clientSecret: "", refreshToken: "" }));
  const [error, setError] = useState(/** @type {any} */ (null));
  const named = label.trim() || undefined;
  const begin = async () => {
    setError(null);
    try {
      if (account) {
        begun(await post("/v2/auth/start", { accountId: account.id }));
      } else if (!BY_CODE.includes(kind)) {
        const added = await post("/v2/accounts", { label: named, ...(kind === "api_key" ? { kind, apiKey: key.trim() } : tokens) });
        await changed();
        say(t("accounts.said.added", { name: nameOf(added) }));
        onClose();
      } else {
        const more = kind === "identity_center" ? { startUrl: startUrl.trim(), region: region.trim() } : {};
        begun(await post("/v2/auth/start", { kind, label: named, ...more }));
      }
    } catch (refused) {
      setError(refused);
    }
  };
  return html`
    <form class="form" onSubmit=${(event) => event.preventDefault()}>
      ${account
        ? html`<p>${t("accounts.login.again.how")}</p>`
        : html`
          <${Choice} label=${t("accounts.login.kind")} value=${kind} set=${setKind}
            options=${KINDS.map((name) => [name, t(`account.kind.${name}`)])} />
          <p class="meta">${t(`accounts.login.how.${kind}`)}</p>
          <${Field} label=${t("accounts.label")} value=${label} set=${setLabel} maxlength="256" hint=${t("accounts.label.hint")} />
          ${kind === "identity_center" && html`
            <${Field} label=${t("accounts.fact.start")} value=${startUrl} set=${setStartUrl} required type="url" placeholder="https://….awsapps.com/start" />
            <${Field} label=${t("accounts.fact.region")} value=${region} set=${setRegion} required />`}
          ${kind === "api_key" && html`<${Field} label=${t("account.kind.api_key")} value=${key} set=${setKey} type="password" required />`}
          ${kind === "tokens" && Object.entries(TOKENS).map(([name, word]) => html`
            <${Field} key=${name} label=${t(`accounts.fact.${word}`)} value=${tokens[name]} type=${name === "clientId" ? "text" : "password"}
              set=${(value) => setTokens({ ...tokens, [name]: value.trim() })} required />`)}
          ${kind === "builder_id" && html`<p class="meta">${around("accounts.login.social", html`<a href=${hrefOf("accounts", { import: "1" })}>${t("account.import")}</a>`)}</p>`}
        `}
      ${error && html`<${Problem} error=${error} />`}
      <div class="actions">
        <${Button} act=${onClose}>${t("cancel")}<//>
        <${Button} kind="primary" type="submit" act=${begin}>${t(account || BY_CODE.includes(kind) ? "accounts.login.start" : "account.add")}<//>
      </div>
    </form>
  `;
}

/** The code is shown, and the gateway is asked how it stands until it has ended. Leaving ends nothing there. */
function Waiting({ started, changed, onClose, restart }) {
  const { authId, userCode, verificationUriComplete: link, interval } = started;
  const [standing, setStanding] = useState(/** @type {any} */ ({ status: "pending" }));
  // The code may live longer than the gateway waits for it: what it says first is what counts.
  const [until, setUntil] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    let timer = 0;
    const ending = new AbortController();
    const ask = async () => {
      try {
        const now = await call(`/v2/auth/status/${authId}`, { signal: ending.signal });
        setStanding(now);
        setUntil((before) => before ?? new Date(Date.now() + now.remaining * 1000).toISOString());
        if (now.status === "completed") await changed();
        if (now.status !== "pending") return;
      } catch (error) {
        if (ending.signal.aborted) return;
        if (error.status === 404) return setStanding({ status: "error", error: error.message, remedy: error.remedy });
      }
      timer = window.setTimeout(ask, Math.min(5, Math.max(1, interval)) * 1000);
    };
    void ask();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [authId]);
  if (standing.status === "completed") {
    return html`
      <div class="stack" role="status">
        <p><b>${t("accounts.login.done")}</b></p>
        ${standing.note && html`<p class="text">${standing.note}</p>`}
      </div>
      <div class="actions">
        <a class="button" href=${hrefOf("playground")}>${t("accounts.login.try")}</a>
        <${Button} kind="primary" act=${onClose} autofocus>${t("accounts.login.ready")}<//>
      </div>
    `;
  }
  if (standing.status !== "pending") {
    return html`
      <${Problem} error=${{ message: standing.error ?? t("accounts.login.failed"), remedy: standing.remedy }} />
      <div class="actions"><${Button} kind="primary" act=${restart}>${t("accounts.login.restart")}<//></div>
    `;
  }
  return html`
    <p>${t("accounts.login.approve")}</p>
    <div class="device">
      <img src="/v2/auth/qr/${authId}" width="180" height="180" alt=${t("accounts.login.qr")} />
      <div class="stack">
        <div><span class="meta">${t("accounts.login.code")}</span><br /><span class="code">${userCode}</span> <${Copy} text=${userCode} what=${t("accounts.login.code")} /></div>
        <div><a class="button primary" href=${link} target="_blank" rel="noopener noreferrer">${t("accounts.login.open")}</a></div>
        <div><${Copy} text=${link} label=${t("accounts.login.copy")} /></div>
      </div>
    </div>
    <p class="meta" role="status">${around("accounts.login.waiting", until && html`<${Countdown} until=${until} />`)}</p>
    <p class="meta">${t("accounts.login.leave")}</p>
  `;
}
