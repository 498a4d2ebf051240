// One value that several parts look at, and that tells them when it changes. Not what the server holds: `answers.js`.

import { useEffect, useState } from "preact/hooks";

/**
 * @template T
 * @param {T} value
 */
export function store(value) {
  /** @type {Set<(value: T) => void>} */
  const watchers = new Set();
  return {
    get: () => value,
    /** @param {T} next */
    set(next) {
      value = next;
      for (const watcher of [...watchers]) watcher(value);
    },
    /** @param {(value: T) => void} watcher */
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/**
 * The store's value; the component is drawn anew when it changes.
 * @template T
 * @param {ReturnType<typeof store<T>>} held
 * @returns {T}
 */
export function useStore(held) {
  const [value, setValue] = useState(() => held.get());
  useEffect(() => {
    setValue(() => held.get());
    const end = held.watch((next) => setValue(() => next));
    return () => void end();
  }, [held]);
  return value;
}
