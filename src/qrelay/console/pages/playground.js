// Playground: talk to a model through one of the three client APIs, as a program would, and see what it would see.

import { useEffect, useState } from "preact/hooks";
import { told, unreachable } from "../api.js";
import { html } from "../html.js";
import { Composer } from "../playground/composer.js";
import { curl } from "../playground/curl.js";
import { key } from "../playground/key.js";
import { KeyNeeded, Options } from "../playground/options.js";
import { toolsFrom } from "../playground/talk.js";
import { clear, retry, send, sent, talk, waiting } from "../playground/talking.js";
import { useQuery } from "../router.js";
import { store, useStore } from "../store.js";
import { Button } from "../ui/button.js";
import { Copy } from "../ui/copy.js";
import { later } from "../ui/later.js";
import { Page } from "../ui/page.js";
import { Empty, Problem } from "../ui/problem.js";
import { tell } from "../ui/toasts.js";
import { t } from "../words.js";

const Turns = later(async () => (await import("../playground/turns.js")).Turns);

/** Each is loaded when it is chosen. */
const APIS = {
  messages: () => import("../playground/messages.js"),
  chat: () => import("../playground/chat.js"),
  responses: () => import("../playground/responses.js"),
};
/** What is typed here stays while another page is looked at; which API and model is the URL's business. */
const typed = store({ system: "", tools: "", maxTokens: "4096", effort: "", stream: true });

export default function Playground() {
  const [api, setApi] = useQuery("api", "messages");
  const [chosen, setModel] = useQuery("model");
  const { models, error, again } = useModels();
  const { turns, running } = useStore(talk);
  const rest = useStore(typed);
  const using = useApi(api);
  const model = chosen || preferred(models ?? []);
  const { tools, wrong } = toolsOf(rest.tools);
  const asked = {
    model,
    system: rest.system,
    maxTokens: Math.max(1, Math.trunc(Number(rest.maxTokens)) || 4096),
    effort: rest.effort,
    tools,
  };
  const how = { api: using, asked, stream: rest.stream, key: key.get() };
  const set = ({ api: nextApi, model: nextModel, ...change }) => {
    if (nextApi) setApi(nextApi);
    if (nextModel) setModel(nextModel);
    if (Object.keys(change).length) typed.set({ ...typed.get(), ...change });
  };
  if (error?.status === 401) {
    return html`
      <${Page} title=${t("playground.needsKey")} sub=${t("playground.needsKey.sub")}><${KeyNeeded} error=${error} again=${again} /><//>
    `;
  }
  const ready = Boolean(using && model) && !wrong;
  const actions = turns.length > 0 && html`<${Button} act=${clear}>${t("playground.clear")}<//>`;
  return html`
    <${Page} title=${titleOf(models, error)} sub=${t("playground.sub")} actions=${actions}>
      ${error && html`<${Problem} error=${error} again=${again} />`}
      <div class="playground">
        <section class="talking" aria-label=${t("playground.conversation")}>
          ${turns.length
            ? html`<${Turns} turns=${turns} running=${Boolean(running)} again=${() => void retry(how)} />`
            : html`<${Empty} title=${t("playground.empty")}><p>${t("playground.empty.sub")}</p><//>`}
          <p class="unseen" role="status">${running ? t("playground.answering") : turns.length ? t("playground.done") : ""}</p>
          <${Composer} calls=${running ? [] : waiting(turns)} running=${Boolean(running)} ready=${ready} send=${(parts) => send(how, parts)}>
            ${using && !running && html`<${Copy} label=${t("playground.curl")} text=${curl(location.origin, using, { ...asked, turns: forCurl(turns) }, rest.stream)} />`}
          <//>
        </section>
        <${Options} apis=${Object.keys(APIS).map((name) => [name, t(`playground.api.${name}`)])} models=${models ?? []}
          options=${{ ...rest, api, model }} set=${set} toolsError=${wrong} />
      </div>
    <//>
  `;
}

/** The module of a client API, null until it is here. */
function useApi(name) {
  const [api, setApi] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let gone = false;
    (APIS[name] ?? APIS.messages)().then((found) => gone || setApi(found), tell);
    return () => {
      gone = true;
    };
  }, [name]);
  return api;
}

/** The models this gateway has, or why it has none. */
function useModels() {
  const [state, setState] = useState(/** @type {{models: any[] | null, error: any}} */ ({ models: null, error: null }));
  const again = async () => {
    try {
      setState({ models: await models(), error: null });
    } catch (error) {
      setState({ models: null, error });
    }
  };
  useEffect(() => void again(), []);
  return { ...state, again };
}

/** A client route: it takes the key, and knows nothing of the console's session. Raises ApiError. */
async function models() {
  /** @type {Record<string, string>} */
  const headers = key.get() ? { authorization: `Bearer ${key.get()}` } : {};
  const answer = await fetch("/v1/models", { headers, cache: "no-store", credentials: "omit" }).catch(() => {
    throw unreachable();
  });
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw told(answer, said);
  return said.data;
}

function titleOf(models, error) {
  if (models) return t("playground.title", { count: models.length });
  return error ? t("playground.title.none") : t("playground.title.asking");
}

/** What most people come for, if it is there. */
const preferred = (models) =>
  (models.find(({ id }) => id === "auto") ?? models.find(({ id }) => id.includes("sonnet")) ?? models[0])?.id ?? "";

/** The request as it was sent last; before the first, one that says hello. */
function forCurl(turns) {
  const last = turns.findLastIndex(({ role }) => role === "user");
  return last < 0 ? [{ role: "user", parts: [{ kind: "text", text: "Hello" }] }] : sent(turns.slice(0, last + 1));
}

function toolsOf(text) {
  try {
    return { tools: toolsFrom(text), wrong: null };
  } catch (error) {
    return { tools: [], wrong: error.message };
  }
}
