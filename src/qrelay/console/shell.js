// The frame around every page: the rail (a bar at the top of small screens), and where one is.

import { html } from "./html.js";
import { chooseLanguage, chooseTheme, look } from "./look.js";
import { PAGES } from "./pages.js";
import { hrefOf } from "./router.js";
import { door } from "./api.js";
import * as session from "./session.js";
import { useStore } from "./store.js";
import { tell } from "./ui/toasts.js";
import { language, t } from "./words.js";

const THEMES = ["system", "light", "dark"];
const LANGUAGES = { en: "English", zh: "中文" };

export function Shell({ page, children }) {
  return html`
    <a class="skip" href="#content">${t("shell.skip")}</a>
    <div class="shell">
      <header class="rail">
        <a class="brand" href="/"><i aria-hidden="true"></i>qrelay</a>
        <nav aria-label=${t("shell.pages")}>
          ${PAGES.map(
            ({ name }) =>
              html`<a key=${name} href=${hrefOf(name)} aria-current=${name === page ? "page" : undefined}>${t(`page.${name}`)}</a>`,
          )}
        </nav>
        <${Foot} />
      </header>
      <main id="content" tabindex="-1">${children}</main>
    </div>
  `;
}

function Foot() {
  const { theme = "system" } = useStore(look);
  const { required } = useStore(door);
  return html`
    <div class="foot">
      <label class="quiet-select">
        <span class="unseen">${t("shell.theme")}</span>
        <select value=${theme} onChange=${(event) => chooseTheme(event.currentTarget.value)}>
          ${THEMES.map((name) => html`<option key=${name} value=${name}>${t(`shell.theme.${name}`)}</option>`)}
        </select>
      </label>
      <label class="quiet-select">
        <span class="unseen">${t("shell.language")}</span>
        <select value=${language()} onChange=${(event) => chooseLanguage(event.currentTarget.value).catch(tell)}>
          ${Object.entries(LANGUAGES).map(
            ([name, own]) => html`<option key=${name} value=${name} lang=${name === "zh" ? "zh-CN" : "en"}>${own}</option>`,
          )}
        </select>
      </label>
      <a class="docs" href="/docs" target="_blank" rel="noopener">${t("shell.docs")}</a>
      ${required && html`<button type="button" class="button quiet" onClick=${() => session.close().catch(tell)}>${t("shell.leave")}</button>`}
      <span class="where">${location.host} · ${document.documentElement.dataset.version}</span>
    </div>
  `;
}
