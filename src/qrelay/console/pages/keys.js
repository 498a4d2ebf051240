// Keys: what programs show to be let in. A key is seen once, when it is made; here are its name and last characters.

import { useState } from "preact/hooks";
import { useAnswer } from "../answers.js";
import { post, remove } from "../api.js";
import { moment, shortMoment } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Button } from "../ui/button.js";
import { Snippet } from "../ui/copy.js";
import { Dialog } from "../ui/dialog.js";
import { Field } from "../ui/field.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { say, tell } from "../ui/toasts.js";
import { t } from "../words.js";

const DAY = 86_400_000;
const LIVES = ["", "1", "30", "90", "365"];

export default function Keys() {
  const { data, error, again } = useAnswer("/v2/keys", { every: 10_000 });
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  const keys = data?.keys ?? [];
  const make = html`<${Button} kind="primary" act=${() => setMaking(true)}>${t("keys.make")}<//>`;
  return html`
    <${Page} title=${titleOf(data)} sub=${t("keys.sub")} actions=${keys.length > 0 && make}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      ${keys.length > 0 && html`<${Table} label=${t("page.keys")} columns=${columns(setRevoking)} rows=${keys} rowKey=${(key) => key.id} />`}
      ${data && !keys.length && html`<${Nothing} make=${make} />`}
      ${making && html`<${Make} done=${again} onClose=${() => setMaking(false)} />`}
      ${revoking && html`<${Revoke} chosen=${revoking} done=${again} onClose=${() => setRevoking(null)} />`}
    <//>
  `;
}

/** What holds without keys of our own: anybody on this machine, or those with a key of the settings. */
function Nothing({ make }) {
  const { data } = useAnswer("/v2/overview");
  if (!data) return null;
  const how = data.development_mode ? "keys.open" : "keys.configured";
  return html`<${Empty} title=${t(how)}><p>${t(`${how}.sub`)}</p>${make}<//>`;
}

const columns = (revoke) => [
  { key: "name", title: t("keys.name"), show: (key) => html`<a href=${hrefOf("requests", { key: key.id })}><bdi>${key.name || t("keys.unnamed")}</bdi></a>` },
  { key: "ending", title: t("keys.key"), show: (key) => html`<code class="whole">${masked(key)}</code>` },
  { key: "state", title: t("keys.state"), show: (key) => html`<${StateDot} tone=${key.state === "active" ? "ok" : "off"}>${t(`keys.state.${key.state}`)}<//>` },
  { key: "used", title: t("keys.used"), room: "wide", show: (key) => (key.last_used_at ? html`<${Time} at=${key.last_used_at} />` : t("keys.never")) },
  { key: "expires", title: t("keys.expires"), room: "wide", show: (key) => (key.expires_at ? html`<${Time} at=${key.expires_at} />` : t("keys.stays")) },
  { key: "created", title: t("keys.created"), room: "wide", show: (key) => html`<time class="whole" datetime=${key.created_at} title=${moment(key.created_at)}>${shortMoment(key.created_at)}</time>` },
  {
    key: "revoke",
    title: t("keys.actions"),
    show: (key) => html`<${Button} kind="quiet danger" aria-label=${t("keys.revoke.what", { name: nameOf(key) })} act=${() => revoke(key)}>${t("keys.revoke")}<//>`,
  },
];

const masked = ({ ending }) => `qr_…${ending}`;

const nameOf = (key) => key.name || masked(key);

/** First what it is called and how long it lives, then the key itself: once. */
function Make({ done, onClose }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const [made, setMade] = useState(/** @type {any} */ (null));
  const make = async () => {
    const expires = days && { expires_at: new Date(Date.now() + Number(days) * DAY).toISOString() };
    setMade(await post("/v2/keys", { name: name.trim(), ...expires }));
    await done();
  };
  const submit = (event) => {
    event.preventDefault();
    make().catch(tell);
  };
  if (made) {
    return html`
      <${Dialog} title=${t("keys.made")} onClose=${onClose} actions=${html`<${Button} kind="primary" act=${onClose}>${t("keys.made.done")}<//>`}>
        <p>${t("keys.made.sub")}</p>
        <${Snippet} text=${made.key} what=${t("keys.key")} />
      <//>
    `;
  }
  return html`
    <${Dialog} title=${t("keys.make")} onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <${Field} label=${t("keys.name")} value=${name} set=${setName} hint=${t("keys.name.hint")} maxlength="100" autofocus />
        <${Field} label=${t("keys.life")} value=${days} set=${setDays} options=${LIVES.map((one) => [one, one ? t("keys.life.days", { count: Number(one) }) : t("keys.life.stays")])} />
        <div class="actions"><${Button} act=${onClose}>${t("cancel")}<//><button class="button primary">${t("keys.make")}</button></div>
      </form>
    <//>
  `;
}

function Revoke({ chosen, done, onClose }) {
  const revoke = async () => {
    await remove(`/v2/keys/${encodeURIComponent(chosen.id)}`);
    onClose();
    say(t("keys.revoked", { name: nameOf(chosen) }));
    await done();
  };
  const actions = html`
    <${Button} act=${onClose}>${t("cancel")}<//>
    <${Button} kind="danger" act=${revoke}>${t("keys.revoke")}<//>
  `;
  return html`
    <${Dialog} title=${t("keys.revoke.what", { name: nameOf(chosen) })} onClose=${onClose} actions=${actions}>
      <p>${t("keys.revoke.sub")}</p>
    <//>
  `;
}

function titleOf(data) {
  if (!data) return t("page.keys");
  const count = data.keys.filter(({ state }) => state === "active").length;
  return data.keys.length ? t("keys.title", { count }) : t("keys.title.none");
}
