// The conversation as it is read: what was said, with what, and what became of it. Text of a model is text only.

import { useState } from "preact/hooks";
import { estimated, milliseconds, amount } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Button } from "../ui/button.js";
import { Copy } from "../ui/copy.js";
import { Choice } from "../ui/field.js";
import { StateDot } from "../ui/state.js";
import { around, has, said, t } from "../words.js";
import { PlainText } from "./plain_text.js";

/** @param {{turns: any[], running: boolean, again: () => unknown}} props */
export function Turns({ turns, running, again }) {
  return html`
    <ol class="talk" aria-busy=${running ? "true" : undefined} aria-label=${t("playground.conversation")}>
      ${turns.map((turn, at) => {
        const last = at === turns.length - 1;
        return turn.role === "user"
          ? html`<li key=${at} class="said user"><${User} turn=${turn} /></li>`
          : html`<li key=${at} class="said model"><${Answer} turn=${turn} live=${last && running} again=${last && !running && again} /></li>`;
      })}
    </ol>
  `;
}

function User({ turn }) {
  return html`
    <h2 class="who">${t("playground.you")}</h2>
    ${turn.parts.map((part, at) => {
      if (part.kind === "image") return html`<img key=${at} class="picture" alt=${part.name} src="data:${part.media};base64,${part.data}" />`;
      if (part.kind === "text") return html`<${PlainText} key=${at} text=${part.text} />`;
      const told = part.failed ? t("playground.tool.toldFailure", { tool: part.name }) : t("playground.tool.told", { tool: part.name });
      return html`<div key=${at} class="tool"><p class="meta">${told}</p><${PlainText} mono text=${part.text} /></div>`;
    })}
  `;
}

function Answer({ turn, live, again }) {
  const [view, setView] = useState("text");
  const { reply } = turn;
  const text = turn.parts.filter((part) => part.kind === "text").map((part) => part.text).join("");
  return html`
    <div class="spread">
      <h2 class="who">${reply?.headers["x-qrelay-model"] ?? t("playground.model")} <span class="meta">${turn.api}</span></h2>
      <div class="actions">
        ${text && !live && html`<${Copy} text=${text} what=${t("playground.answer")} />`}
        ${again && html`<${Button} kind="quiet" act=${again}>${t("playground.again")}<//>`}
        <${Choice} label=${t("playground.view")} value=${view} set=${setView}
          options=${[["text", t("playground.view.text")], ["raw", t("playground.view.raw")]]} />
      </div>
    </div>
    ${view === "raw"
      ? html`<div class="raw" tabindex="0" role="region" aria-label=${t("playground.view.raw")}><${PlainText} mono text=${(reply?.raw ?? []).join("")} /></div>`
      : turn.parts.map((part, at) => html`<${Part} key=${at} part=${part} />`)}
    ${live && !turn.parts.length && html`<p class="meta">${t("playground.waiting")}</p>`}
    ${reply?.error && html`<${Failure} reply=${reply} />`}
    ${reply && !live && html`<${Facts} reply=${reply} />`}
  `;
}

function Part({ part }) {
  if (part.kind === "text") return html`<${PlainText} text=${part.text} />`;
  if (part.kind === "reasoning") {
    return html`
      <details class="reasoning" open>
        <summary>${t("playground.reasoning")}</summary>
        ${part.text ? html`<${PlainText} text=${part.text} />` : html`<p class="meta">${t("playground.reasoning.hidden")}</p>`}
      </details>
    `;
  }
  return html`
    <div class="tool">
      <p><span class="meta">${t("playground.tool.calls")}</span> <b><bdi>${part.name}</bdi></b></p>
      <${PlainText} mono text=${pretty(part.input)} />
    </div>
  `;
}

/** What came stays; under it stands what happened and what to do. */
function Failure({ reply }) {
  const { message } = reply.error;
  const code = reply.row?.outcome && reply.row.outcome !== "ok" ? reply.row.outcome : reply.error.code;
  const own = `playground.error.${reply.error.code}`;
  const stopped = reply.error.code === "stopped";
  const { remedy } = reply.row ?? {};
  return html`
    <div class="callout ${stopped ? "" : "bad"}" role=${stopped ? "status" : "alert"}>
      <div>
        <${StateDot} tone=${stopped ? "info" : "bad"}>${stopped ? t("playground.stopped") : has(`code.${code}`) ? t(`code.${code}`) : code}<//>
        <p class="text">${message || (has(own) ? t(own) : code)}</p>
        ${!stopped && remedy && !message.includes(remedy) && html`<p class="meta">${said(remedy)}</p>`}
      </div>
    </div>
  `;
}

/** The figures of one answer, and what the gateway changed in the request. */
function Facts({ reply }) {
  const { usage, row, headers } = reply;
  const facts = [];
  if (reply.firstByte !== null) facts.push(t("playground.fact.first", { time: milliseconds(reply.firstByte) }));
  facts.push(t("playground.fact.whole", { time: milliseconds(reply.duration) }));
  if (usage) {
    const input = usage.input + usage.cacheRead + usage.cacheWrite;
    facts.push(t("playground.fact.tokens", { input: estimated(input, usage.estimated), output: estimated(usage.output, usage.estimated) }));
    if (usage.cacheRead) facts.push(t("playground.fact.cached", { count: usage.cacheRead }));
  }
  if (row?.credits != null) facts.push(t("playground.fact.credits", { credits: amount(row.credits) }));
  if (row?.account) facts.push(t("playground.fact.account", { account: row.account }));
  if (row?.attempts?.length > 1) facts.push(t("playground.fact.attempts", { count: row.attempts.length }));
  if (reply.stop) facts.push(t("playground.fact.stop", { reason: reply.stop }));
  const changed = [["adjusted", headers["x-qrelay-adjusted"]], ["ignored", headers["x-qrelay-ignored"]]];
  return html`
    <p class="meta told">${facts.map((fact, at) => html`<span key=${at}><bdi>${fact}</bdi></span>`)}
      ${reply.requestId && html`<a href=${hrefOf("requests", { id: reply.requestId })}>${t("playground.fact.request")}</a>`}</p>
    ${changed.map(([name, said]) => said && html`<p key=${name} class="meta">${around(`playground.${name}`, html`<code><bdi>${said}</bdi></code>`)}</p>`)}
  `;
}

function pretty(input) {
  try {
    return JSON.stringify(JSON.parse(input), null, 2);
  } catch {
    return input; // not over yet, or cut
  }
}
