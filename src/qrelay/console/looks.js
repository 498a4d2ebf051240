// Choosing the theme and the language.

import { html } from "./html.js";
import { chooseLanguage, chooseTheme, look } from "./look.js";
import { useStore } from "./store.js";
import { tell } from "./ui/toasts.js";
import { language, t } from "./words.js";

const THEMES = ["system", "light", "dark"];
const LANGUAGES = { en: "English", zh: "中文" };

export function Looks() {
  const { theme = "system" } = useStore(look);
  return html`
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
  `;
}
