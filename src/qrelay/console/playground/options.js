// How it is asked: which API, which model, and what goes along with every message.

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { Button } from "../ui/button.js";
import { Check, Choice, Field } from "../ui/field.js";
import { Problem } from "../ui/problem.js";
import { t } from "../words.js";
import { key, makeKey, useThis } from "./key.js";
import { EXAMPLE_TOOLS } from "./talk.js";

const EFFORTS = ["", "low", "medium", "high"];

/** @param {{apis: [string, string][], models: any[], options: any, set: (change: object) => void, toolsError: string | null}} props */
export function Options({ apis, models, options, set, toolsError }) {
  const choices = models.map(({ id, display_name: name }) => [id, name && name !== id ? `${name} (${id})` : id]);
  if (options.model && !models.some(({ id }) => id === options.model)) choices.unshift([options.model, options.model]);
  return html`
    <div class="options">
      <${Choice} label=${t("playground.api")} value=${options.api} set=${(api) => set({ api })} options=${apis} />
      <${Field} label=${t("playground.model")} value=${options.model} set=${(model) => set({ model })} options=${choices} />
      <${Field} label=${t("playground.system")} lines=${3} value=${options.system} set=${(system) => set({ system })} />
      <details open=${Boolean(options.tools)}>
        <summary>${t("playground.tools")}</summary>
        <${Field} label=${t("playground.tools.list")} lines=${8} class="mono" value=${options.tools} set=${(tools) => set({ tools })}
          hint=${t("playground.tools.hint")} error=${toolsError && t(toolsError)} spellcheck=${false} />
        <${Button} act=${() => set({ tools: EXAMPLE_TOOLS })}>${t("playground.tools.example")}<//>
      </details>
      <details>
        <summary>${t("playground.more")}</summary>
        <${Field} label=${t("playground.maxTokens")} type="number" min="1" value=${options.maxTokens}
          set=${(maxTokens) => set({ maxTokens })} />
        <${Field} label=${t("playground.effort")} value=${options.effort} set=${(effort) => set({ effort })}
          options=${EFFORTS.map((name) => [name, t(`playground.effort.${name || "default"}`)])} />
      </details>
      <${Check} label=${t("playground.stream")} checked=${options.stream} set=${(stream) => set({ stream })} />
    </div>
  `;
}

/** Shown where the gateway has keys: client routes need one, also from here. @param {{error: any, again: () => unknown}} props */
export function KeyNeeded({ error, again }) {
  const [value, setValue] = useState(key.get());
  const use = () => {
    useThis(value.trim());
    return again();
  };
  const make = async () => {
    await makeKey();
    await again();
  };
  return html`
    <form class="card key" onSubmit=${(event) => (event.preventDefault(), void use())}>
      ${key.get() && html`<${Problem} error=${error} />`}
      <${Field} label=${t("playground.key")} type="password" value=${value} set=${setValue} hint=${t("playground.key.hint")} />
      <div class="actions">
        <button class="button primary">${t("playground.key.use")}</button>
        <${Button} act=${make}>${t("playground.key.make")}<//>
      </div>
    </form>
  `;
}
