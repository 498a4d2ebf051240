// The rows a filter lets through, as a component sees them: history page by page, and what ends now on top.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { call } from "../api.js";
import { FILTERS, matches, RequestLog } from "./log.js";
import { follow } from "./live.js";

const PAGE = 200;
const OLDER = 1000;

/** What the live stream may have missed: it begins with what ends after it was opened. */
async function newest(asked) {
  return (await call(`/v2/requests?${asked}&limit=${PAGE}`)).requests;
}

/** @param {Record<string, string>} filters @param {boolean} hold whether new rows are kept back */
export function useRequests(filters, hold) {
  const asked = new URLSearchParams(FILTERS.filter((name) => filters[name]).map((name) => [name, filters[name]])).toString();
  const log = useRef(new RequestLog());
  const asking = useRef(false);
  const [, draw] = useState(0);
  const [error, setError] = useState(/** @type {any} */ (null));
  const [ready, setReady] = useState(false);
  const [live, setLive] = useState("connecting");
  const again = useCallback(() => draw((count) => count + 1), []);

  const load = useCallback(
    async (into) => {
      if (asking.current && into === log.current) return;
      asking.current = true;
      try {
        const before = into.rows.at(-1)?.seq;
        const query = new URLSearchParams(asked);
        query.set("limit", String(before === undefined ? PAGE : OLDER));
        if (before !== undefined) query.set("before", String(before));
        const { requests, next } = await call(`/v2/requests?${query}`);
        if (into !== log.current) return;
        into.append(requests, next !== null);
        setError(null);
      } catch (failed) {
        if (into === log.current) setError(failed);
      } finally {
        if (into === log.current) {
          asking.current = false;
          setReady(true);
          again();
        }
      }
    },
    [asked],
  );

  useEffect(() => {
    const own = new RequestLog();
    log.current = own;
    asking.current = false;
    setReady(false);
    void load(own);
    const take = (rows) => {
      if (own !== log.current) return; // what was asked for another filter comes too late
      own.add(rows.filter((row) => matches(row, filters)));
      again();
    };
    return follow(take, (state) => {
      setLive(state);
      if (state === "live") void newest(asked).then(take, setError);
    });
  }, [asked]);

  useEffect(() => {
    if (hold) log.current.paused = true;
    else log.current.resume();
    again();
  }, [hold, asked]);

  const { rows, held, more } = log.current;
  return { rows, held: held.length, more, ready, error, live, load: () => load(log.current) };
}
