// Which page, and in which state: both are the URL, so that a link, a reload and the back button mean what they say.
//
//   go("/console/accounts?view=table")        another page, or another state of this one
//   const [view, setView] = useQuery("view", "cards")

import { useCallback } from "preact/hooks";
import { store, useStore } from "./store.js";

/** @typedef {{page: string, query: URLSearchParams, moved: boolean}} Place `moved`: by a link, not by loading */

export const place = store(read(false));

addEventListener("popstate", () => place.set(read(true)));

/** @param {string} href @param {{replace?: boolean}} [options] */
export function go(href, { replace = false } = {}) {
  const before = place.get().page;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  place.set(read(true));
  if (place.get().page !== before) scrollTo(0, 0);
}

/** The URL of a page. @param {string} page @param {Record<string, string>} [query] */
export function hrefOf(page, query = {}) {
  const asked = new URLSearchParams(query).toString();
  return (page === "overview" ? "/" : `/console/${page}`) + (asked && `?${asked}`);
}

/**
 * One part of the page's state. Setting it to the fallback takes it out of the URL; `push` makes a step that the back
 * button undoes, e.g. an open drawer.
 * @param {string} name @param {string} fallback
 * @returns {[string, (value: string, options?: {push?: boolean}) => void]}
 */
export function useQuery(name, fallback = "") {
  const { query } = useStore(place);
  const set = useCallback(
    (value, { push = false } = {}) => {
      const next = new URLSearchParams(location.search);
      if (value === fallback) next.delete(name);
      else next.set(name, value);
      const asked = next.toString();
      go(location.pathname + (asked && `?${asked}`), { replace: !push });
    },
    [name, fallback],
  );
  return [query.get(name) ?? fallback, set];
}

/** Links to the console's own pages don't load anything anew. */
document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest?.("a[href]");
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) {
    return;
  }
  if (link.origin !== location.origin || !isOurs(link.pathname) || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

const isOurs = (path) => path === "/" || path === "/admin" || /^\/console(\/[^/]*)?$/.test(path);

function read(moved) {
  const found = /^\/console\/([^/]+)$/.exec(location.pathname);
  return { page: found?.[1] ?? "overview", query: new URLSearchParams(location.search), moved };
}
