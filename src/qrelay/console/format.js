// Numbers, times and durations as the page's language writes them.

import { locale, t } from "./words.js";

/** @type {Map<string, any>} */
const made = new Map();

/**
 * A formatter of the page's language. They are dear to make, and a table needs thousands.
 * @template T
 * @param {new (locale: string, options: any) => T} Kind @param {object} [options]
 * @returns {T}
 */
function formatter(Kind, options) {
  const key = `${Kind.name} ${locale()} ${JSON.stringify(options)}`;
  const found = made.get(key) ?? new Kind(locale(), options);
  made.set(key, found);
  return found;
}

/** @param {number} value @param {Intl.NumberFormatOptions} [options] */
export const number = (value, options) => formatter(Intl.NumberFormat, options).format(value);

/** Without what adding up fractions leaves in the last places: 28.434999999999995 is 28.435. @param {number} value */
const whole = (value) => Number(value.toPrecision(12));

/** Credits and the like: at most two places, and none where there is nothing after the point. A little is not nothing. */
export function amount(value) {
  const little = value > 0 && value < 0.01;
  return little ? `<\u00a0${number(0.01)}` : number(whole(value), { maximumFractionDigits: 2 });
}

/** @param {number} share 0 to 1 */
export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: 1 });

/** From a million on in words: who wants the last digit finds it in a table. @param {number} value */
export const large = (value) =>
  value < 1e6 ? number(value) : number(value, { notation: "compact", maximumSignificantDigits: 3 });

/** An estimate is never written like a fact. */
export const estimated = (value, isEstimate = true) => (isEstimate ? `≈\u00a0${number(value)}` : number(value));

/** @param {number | null | undefined} ms */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return t("unknown");
  if (ms < 1000) return t("time.ms", { value: number(ms, { maximumFractionDigits: ms < 10 ? 1 : 0 }) });
  return t("time.s", { value: number(ms / 1000, { maximumFractionDigits: 2, minimumFractionDigits: 2 }) });
}

/** @param {string | number | Date} at */
export const moment = (at) =>
  formatter(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));

/** The time alone if it was today, else the date with it, and the year if it was another. */
export function shortMoment(at) {
  const date = new Date(at);
  const now = new Date();
  const day = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
  if (date.toDateString() === now.toDateString()) return formatter(Intl.DateTimeFormat, { timeStyle: "medium" }).format(date);
  return formatter(Intl.DateTimeFormat, date.getFullYear() === now.getFullYear() ? day : { ...day, year: "numeric" }).format(date);
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const STEPS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
];
const NEARLY = 0.01;

/**
 * How many of the largest unit there are. Those that are as good as whole are told as whole: what was made a moment ago
 * to last for 30 days doesn't last for 29.
 * @param {number} ms not negative
 * @returns {[Intl.RelativeTimeFormatUnit, number]}
 */
function inUnits(ms) {
  const [unit, size] = STEPS.find(([, size]) => ms / size + NEARLY >= 1) ?? STEPS[3];
  return [unit, Math.floor(ms / size + NEARLY)];
}

/** "in 9 days", "3 minutes ago". @param {number} ms from now, negative for the past */
export function relative(ms) {
  const [unit, count] = inUnits(Math.abs(ms));
  return formatter(Intl.RelativeTimeFormat, { numeric: "auto" }).format(ms < 0 ? -count : count, unit);
}

/** "9 days", "47 min", "38 s": how long, in its largest unit. @param {number} ms */
export function span(ms) {
  const [unit, count] = inUnits(Math.max(0, ms));
  const display = unit === "day" ? "long" : "short";
  return number(count, { style: "unit", unit, unitDisplay: display }).replace(" ", "\u00a0");
}
