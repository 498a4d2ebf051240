// What the console says, by key, in the language of the page. The texts are in words/en and words/zh, a file a page.
//
//   await speak("accounts")                       the page's words are there
//   t("accounts.count", { count: 3 })             "3 accounts"
//   said(error.remedy)                            what the gateway says in English (words/*/said.js, described.js)
//
// A text may hold {names}; numbers among the values are written as the language writes them. One that depends on a
// number is { one: "…", other: "…" } by the value `count`. A key that isn't there is shown and told on the console.

/** @type {Record<string, string | Record<string, string>>} */
let known = {};
/** @type {Map<string, Promise<void>>} */
const parts = new Map();
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
export function speak(part) {
  const found = parts.get(part) ?? hear(part);
  parts.set(part, found);
  found.catch(() => parts.delete(part)); // it may be asked for again
  return found;
}

/** In the language of the end, if that changes meanwhile. @param {string} part */
async function hear(part) {
  for (;;) {
    const spoken = tongue;
    const words = await load(spoken, part);
    if (spoken === tongue) return void Object.assign(known, words);
  }
}

/**
 * Change the language: all parts that are known, in the other words.
 * @param {"en" | "zh"} next
 */
export async function learn(next) {
  for (;;) {
    const names = [...parts.keys()];
    const all = await Promise.all(names.map((part) => load(next, part)));
    if (names.length < parts.size) continue;
    tongue = next;
    known = Object.assign({}, ...all);
    return;
  }
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

/**
 * A text around something that is none, such as a time that goes on: it stands where the text says {part}.
 * @param {string} key @param {any} part @param {Record<string, string | number>} [values]
 */
export function around(key, part, values) {
  const [before, after] = t(key, { ...values, part: "\0" }).split("\0");
  return [before, part, after];
}

/** Whether there are words for a key: for what the server names, like error codes. */
export const has = (key) => known[key] !== undefined;

/** A sentence of the gateway's own in the page's language, where it is known; else as it came. @param {string} text */
export const said = (text) => String(known[text.replace(/\s+/g, " ")] ?? text);

const form = (count) => new Intl.PluralRules(locale()).select(count);

async function load(spoken, part) {
  return (await import(`./words/${spoken}/${part}.js`)).default;
}
