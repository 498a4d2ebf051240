// "Connect a client": which one, and the lines to copy, with this gateway's own address in them.

import { html } from "../html.js";
import { hrefOf, useQuery } from "../router.js";
import { Snippet } from "../ui/copy.js";
import { Tabs } from "../ui/tabs.js";
import { t } from "../words.js";
import { CLIENTS, filled } from "./clients.js";

/** @param {{keyless: boolean | null}} props `keyless`: no key is needed, any word will do; null for unknown */
export function Connect({ keyless }) {
  const [chosen, setChosen] = useQuery("client", "claude");
  const client = CLIENTS.find(({ id }) => id === chosen) ?? CLIENTS[0];
  const key = keyless ? "any" : t("overview.connect.placeholder");
  return html`
    <section aria-labelledby="connect">
      <h2 id="connect">${t("overview.connect")}</h2>
      <div class="card">
        <${Tabs} label=${t("overview.connect")} value=${client.id} set=${setChosen} options=${CLIENTS.map(({ id, name }) => [id, name])}>
          ${client.lines.map(({ how, text }) => html`
            <${Snippet} key=${text} caption=${t(`overview.connect.${how}`)} text=${filled(text, location.origin, key)} what="${client.name}: ${t(`overview.connect.${how}`)}" />`)}
        <//>
        <p class="meta after">
          ${keyless ? t("overview.connect.keyless") : html`${t("overview.connect.key")} <a href=${hrefOf("keys")}>${t("overview.connect.keys")}</a>`}
        </p>
      </div>
    </section>
  `;
}
