// Times that go on by themselves: how long ago, how long still.

import { useEffect, useState } from "preact/hooks";
import { moment, relative, span } from "../format.js";
import { html } from "../html.js";

/** One clock for each pace, however many look at it. @type {Map<number, ReturnType<typeof clock>>} */
const clocks = new Map();

/** The time now, anew every so many milliseconds. @param {number} [every] */
export function useNow(every = 1000) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!clocks.has(every)) clocks.set(every, clock(every));
    return clocks.get(every)?.(setNow);
  }, [every]);
  return now;
}

/** @param {number} every */
function clock(every) {
  /** @type {Set<(now: number) => void>} */
  const watchers = new Set();
  let timer = 0;
  const tick = () => watchers.forEach((watcher) => watcher(Date.now()));
  return (watcher) => {
    if (watchers.size === 0) timer = window.setInterval(tick, every);
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0) clearInterval(timer);
    };
  };
}

/** "3 minutes ago", "in 9 days". @param {{at: string}} props ISO 8601 */
export function Time({ at }) {
  const now = useNow(5000);
  return html`<time datetime=${at} title=${moment(at)}>${relative(Date.parse(at) - now)}</time>`;
}

/** "38 s", "9 days": what is left until then. @param {{until: string}} props ISO 8601 */
export function Countdown({ until }) {
  const left = Date.parse(until) - useNow();
  return html`<time datetime=${until} title=${moment(until)}>${span(Math.max(0, left))}</time>`;
}
