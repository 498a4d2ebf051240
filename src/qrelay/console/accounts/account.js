// What an account's answer means, in words: its state and what to do about it. No markup, no requests.

import { t } from "../words.js";

/**
 * @typedef {{id: string, label: string | null, state: string, state_reason: string | null, enabled: boolean,
 *   last_error: string | null, kind: string, region: string, expiresAt: string | null, is_active: boolean,
 *   in_flight?: number, email?: string | null, cooling_until?: string | null, endpoint?: string | null,
 *   cooldowns?: {model: string, until: string, reason: string | null, code: string | null}[],
 *   quota?: Quota | null, [more: string]: any}} Account
 * @typedef {{name?: string, used: number, limit: number, active?: boolean, expires_at?: string | null}} Grant
 * @typedef {{plan: string | null, used: number, limit: number, left?: number, resets_at: string | null, stale: boolean,
 *   read_at?: string, exhausted?: boolean, overage_allowed?: boolean, overage?: number, trial?: Grant | null,
 *   bonuses?: Grant[]}} Quota `left` counts the trial and bonuses too
 */

/** @type {Record<string, "ok" | "info" | "warn" | "bad" | "off">} */
export const TONES = { ready: "ok", cooling: "info", needs_login: "warn", suspended: "bad", disabled: "off" };

export const STATES = Object.keys(TONES);

/** @param {Account} account */
export const nameOf = (account) => account.label || account.id.slice(0, 8);

/** What happened to it, as the gateway was told; null when all is well. @param {Account} account */
export function whatHappened(account) {
  if (account.state === "ready" || account.state === "disabled") return account.state_reason;
  const whole = account.cooldowns?.find(({ model }) => model === "");
  if (account.state === "cooling" && whole?.reason) return whole.reason;
  return account.state_reason ?? account.last_error;
}

/** How often it has failed since it last answered, though it is ready. @param {Account} account */
export const failing = ({ state, error_count: count, last_error: said }) => (state === "ready" && said ? count : 0);

/** What works in spite of it, or what to do. @param {Account} account */
export function whatNow({ state, cooldowns = [] }) {
  if (state === "ready") return null;
  const spent = state === "cooling" && cooldowns.some(({ model, code }) => model === "" && code === "quota_exhausted");
  return t(spent ? "account.now.spent" : `account.now.${state}`);
}

/** Models it can't serve for now, though it can serve others. @param {Account} account */
export const resting = (account) => (account.cooldowns ?? []).filter(({ model }) => model !== "");

/** What it has left and of how much, trial and bonuses included; null for unknown. @param {Account} account */
export function creditsOf({ quota }) {
  if (!quota || !(quota.limit > 0 || (quota.left ?? 0) > 0)) return null;
  const left = quota.left ?? Math.max(0, quota.limit - quota.used);
  /** @type {Grant[]} */
  const all = [quota, ...grantsOf(quota)];
  const spent = all.reduce((sum, { used, limit }) => sum + Math.min(used, limit), 0);
  return { left, total: left + spent };
}

/** Its trial and bonuses that count. @param {Quota} quota */
export const grantsOf = ({ trial, bonuses = [] }) =>
  [...(trial ? [trial] : []), ...bonuses].filter(({ active }) => active !== false);

/** @param {Account} account @returns {number | null} the share of its credits that is used, null for unknown */
export function usedShare(account) {
  const credits = creditsOf(account);
  if (credits === null) return null;
  return credits.total > 0 ? 1 - credits.left / credits.total : 1;
}

/** How many there are of each state. @param {Account[]} accounts */
export function tally(accounts) {
  /** @type {Record<string, number>} */
  const found = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const { state } of accounts) found[state] = (found[state] ?? 0) + 1;
  return found;
}

/** The sentence one came for. @param {Record<string, number>} counts by state */
export function readiness(counts) {
  const total = STATES.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const ready = counts.ready ?? 0;
  if (total === 0) return t("account.title.none");
  if (ready === 0) return t("account.title.nobody", { count: total });
  if (ready === total) return t("account.title.all", { count: total });
  return t("account.title.some", { count: ready, total });
}

/** What else there is, "1 is cooling · 2 are off". @param {Record<string, number>} counts */
export function exceptions(counts) {
  const others = STATES.slice(1).filter((state) => counts[state] > 0);
  return others.map((state) => t(`account.sub.${state}`, { count: counts[state] })).join(" · ");
}
