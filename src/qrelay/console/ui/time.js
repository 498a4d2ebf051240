// Times that go on by themselves: how long ago, how long still.

import { useEffect, useState } from "preact/hooks";
import { moment, relative, span } from "../format.js";
import { html } from "../html.js";

/** The time now, anew every so many milliseconds. @param {number} [every] */
export function useNow(every = 1000) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
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
