// The page before the console: the admin secret opens it.

import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import * as session from "../session.js";
import { Looks } from "../looks.js";
import { t } from "../words.js";
import { Field } from "./field.js";
import { inWords } from "./trouble.js";

export function LogIn() {
  const [secret, setSecret] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = `${t("login.title")} · qrelay`;
  }, []);
  const open = async (event) => {
    event.preventDefault();
    if (busy || !secret) return;
    setBusy(true);
    setError(null);
    try {
      await session.open(secret);
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  const { title, remedy } = inWords(error ?? {});
  const wait = error?.retryAfter ? t("login.wait", { count: error.retryAfter }) : null;
  return html`
    <main class="gate">
      <div class="brand"><i aria-hidden="true"></i>qrelay</div>
      <h1>${t("login.title")}</h1>
      <p class="sub">${t("login.sub")}</p>
      <form onSubmit=${open}>
        <${Field} label=${t("login.secret")} type="password" autocomplete="current-password" value=${secret} set=${setSecret}
          error=${error && [title, wait ?? remedy].filter(Boolean).join(" ")} autofocus />
        <button class="button primary" aria-busy=${busy || undefined}>${t("login.open")}</button>
      </form>
      <div class="row"><${Looks} /></div>
    </main>
  `;
}
