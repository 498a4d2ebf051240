// The theme and the language somebody chose, kept in this browser. `first.js` applies them before anything is drawn.

import { store } from "./store.js";
import { learn } from "./words.js";

const KEY = "qrelay.look";

/** @type {ReturnType<typeof store<{theme?: "light" | "dark", language?: "en" | "zh"}>>} */
export const look = store(read());

/** @param {"light" | "dark" | "system"} theme */
export function chooseTheme(theme) {
  keep({ ...look.get(), theme: theme === "system" ? undefined : theme });
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** @param {"en" | "zh"} language */
export async function chooseLanguage(language) {
  await learn(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  keep({ ...look.get(), language });
}

function keep(chosen) {
  look.set(chosen);
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // Storage is off or full: it holds until the page is closed.
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    return {};
  }
}
