// Where it begins: the words, whether the door is open, the page of the URL.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { door } from "./api.js";
import { html } from "./html.js";
import { look } from "./look.js";
import { PAGES } from "./pages.js";
import { place } from "./router.js";
import * as session from "./session.js";
import { Shell } from "./shell.js";
import { useStore } from "./store.js";
import { later } from "./ui/later.js";
import { Nowhere, Unloaded } from "./ui/nowhere.js";
import { Toasts } from "./ui/toasts.js";
import { language, speak } from "./words.js";

const LogIn = later(async () => (await import("./ui/log_in.js")).LogIn);

/** @type {Map<string, import("preact").FunctionComponent>} */
const loaded = new Map();

function App() {
  useStore(look);
  const { open } = useStore(door);
  const { page } = useStore(place);
  // A language is a new page: everything is drawn anew, in words that are all there.
  return html`
    <${Toasts} />
    ${open ? html`<${Shell} page=${page} key=${language()}><${Opened} page=${page} key=${page} /><//>` : html`<${LogIn} />`}
  `;
}

function Opened({ page }) {
  const [component, setComponent] = useState(() => loaded.get(page) ?? null);
  const [failed, setFailed] = useState(false);
  const entry = PAGES.find(({ name }) => name === page);
  useEffect(() => {
    let gone = false;
    if (entry && !component) {
      load(entry).then(
        (found) => gone || setComponent(() => found),
        () => gone || setFailed(true),
      );
    }
    return () => {
      gone = true;
    };
  }, [entry, component]);
  if (!entry) return html`<${Nowhere} />`;
  if (failed) return html`<${Unloaded} />`;
  return component && html`<${component} />`;
}

/** @param {import("./pages.js").PAGES[number]} entry */
async function load({ name, load, words }) {
  const [module] = await Promise.all([load(), ...[name, ...(words ?? [])].map(speak)]);
  loaded.set(name, module.default);
  return module.default;
}

await Promise.all([speak("shell"), session.ask()]);
const root = /** @type {HTMLElement} */ (document.querySelector("#app"));
root.replaceChildren();
render(html`<${App} />`, root);
// What is said of failures isn't needed to begin with.
void Promise.all([speak("errors"), speak("said")]);
