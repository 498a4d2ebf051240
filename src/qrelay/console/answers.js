// What the server holds, as a component sees it: asked when it is drawn, asked again every so often while it is seen.
//
//   const { data, error, again } = useAnswer("/v2/accounts", { every: 5000 });
//
// `data` is null until the first answer, then the last good one, with `error` beside it when a newer one failed. The
// last answers are kept, so that a page one comes back to has something at once.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { call } from "./api.js";

/** @type {Map<string, any>} */
const kept = new Map();

/**
 * @param {string | null} path null asks nothing
 * @param {{every?: number | ((data: any) => number)}} [options] milliseconds between the end of one answer and the next
 *   question, maybe by what was answered; 0 asks once
 */
export function useAnswer(path, { every = 0 } = {}) {
  const [state, setState] = useState(() => known(path));
  const pace = useRef(every);
  pace.current = every;
  const asking = useRef(/** @type {(() => Promise<void>) | null} */ (null));
  useEffect(() => {
    if (path === null) return undefined;
    const ending = new AbortController();
    let timer = 0;
    setState((before) => (before.path === path ? before : known(path)));
    const ask = async (background = false) => {
      clearTimeout(timer);
      try {
        const data = await call(path, { signal: ending.signal, background });
        kept.set(path, data);
        if (!ending.signal.aborted) setState({ path, data, error: null });
      } catch (error) {
        if (ending.signal.aborted) return;
        setState((before) => ({ ...before, error }));
      }
      clearTimeout(timer);
      const wait = typeof pace.current === "function" ? pace.current(kept.get(path)) : pace.current;
      if (wait && !ending.signal.aborted) timer = window.setTimeout(soon, wait);
    };
    const soon = () => {
      if (pace.current && document.visibilityState === "visible") void ask(true);
    };
    asking.current = ask;
    document.addEventListener("visibilitychange", soon);
    void ask();
    return () => {
      ending.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", soon);
    };
  }, [path]);
  const again = useCallback(async () => asking.current?.(), []);
  const mine = state.path === path ? state : known(path);
  return { data: mine.data, error: mine.error, again };
}

/** @param {string | null} path @returns {{path: string | null, data: any, error: any}} */
const known = (path) => ({ path, data: path === null ? null : (kept.get(path) ?? null), error: null });

/** Put what a write answered in the place of what was known, until it is asked again. */
export const remember = (path, data) => void kept.set(path, data);

/** Forget everything: somebody else may be looking now. */
export const forget = () => kept.clear();
