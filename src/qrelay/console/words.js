// What the console says, by key, in the language of the page. The texts are in words/en and words/zh, a file a page.
//
//   await speak("accounts")                       the page's words are there
//   t("accounts.count", { count: 3 })             "3 accounts"
//
// A text may hold {names}; numbers among the values are written as the language writes them. One that depends on a
// number is { one: "…", other: "…" } by the value `count`. A key that isn't there is shown and told on the console.

/** @type {Record<string, string | Record<string, string>>} */
let known = {};
/** @type {Set<string>} */
const parts = new Set();
/** @type {"en" | "zh"} */
let tongue = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

/** The language as Intl and HTML want it. */
export const locale = () => (tongue === "zh" ? "zh-CN" : "en");

/** @returns {"en" | "zh"} */
export const language = () => tongue;

/**
 * Load the words of a part, once.
 * @param {string} part
 */
export async function speak(part) {
  if (parts.has(part)) return;
  parts.add(part);
  Object.assign(known, await load(tongue, part));
}

/**
 * Change the language: all parts that are known, in the other words.
 * @param {"en" | "zh"} next
 */
export async function learn(next) {
  const all = await Promise.all([...parts].map((part) => load(next, part)));
  tongue = next;
  known = Object.assign({}, ...all);
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const found = known[key];
  if (found === undefined) {
    console.error(`No words for ${key} in ${tongue}.`);
    return key;
  }
  const text = typeof found === "string" ? found : found[form(Number(values.count))] ?? found.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? new Intl.NumberFormat(locale()).format(value) : value;
  });
}

/** Whether there are words for a key: for what the server names, like error codes. */
export const has = (key) => known[key] !== undefined;

const form = (count) => new Intl.PluralRules(locale()).select(count);

async function load(spoken, part) {
  return (await import(`./words/${spoken}/${part}.js`)).default;
}
