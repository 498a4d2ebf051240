// "Connect a client": which one, and the lines to copy, with this gateway's own address in them, and a key if it wants one.

import { useState } from "preact/hooks";
import { post } from "../api.js";
import { html } from "../html.js";
import { useQuery } from "../router.js";
import { Button } from "../ui/button.js";
import { Snippet } from "../ui/copy.js";
import { Tabs } from "../ui/tabs.js";
import { t } from "../words.js";
import { CLIENTS, filled } from "./clients.js";

/** @param {{keyless: boolean}} props `keyless`: no key is needed, any word will do */
export function Connect({ keyless }) {
  const [chosen, setChosen] = useQuery("client", "claude");
  const [made, setMade] = useState("");
  const client = CLIENTS.find(({ id }) => id === chosen) ?? CLIENTS[0];
  const key = made || (keyless ? "any" : t("overview.connect.placeholder"));
  const make = async () => setMade((await post("/v2/keys", { name: client.name })).key);
  return html`
    <section aria-labelledby="connect">
      <h2 id="connect">${t("overview.connect")}</h2>
      <div class="card">
        <${Tabs} label=${t("overview.connect")} value=${client.id} set=${setChosen} options=${CLIENTS.map(({ id, name }) => [id, name])}>
          ${client.lines.map(({ how, text }) => html`
            <${Snippet} key=${text} caption=${t(`overview.connect.${how}`)} text=${filled(text, location.origin, key)} what="${client.name}: ${t(`overview.connect.${how}`)}" />`)}
        <//>
        <div class="row after">
          ${!keyless && !made && html`<${Button} act=${make}>${t("overview.connect.make")}<//>`}
          <p class="meta" role="status">${t(made ? "overview.connect.made" : keyless ? "overview.connect.keyless" : "overview.connect.key")}</p>
        </div>
      </div>
    </section>
  `;
}
