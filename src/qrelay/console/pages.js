// The console's pages, in the order of the rail. To add one, three things:
//
//   1. pages/NAME.js, whose default export is a component that draws a <Page> (ui/page.js)
//   2. words/en/NAME.js and words/zh/NAME.js: its texts, keys beginning with "NAME."
//   3. a line here, and "page.NAME" in words/*/shell.js: what the rail calls it
//
// `words` names other files of texts it uses. A page and its words are loaded when it is first opened, and what it
// imports dynamically when that is needed.

/** @type {{name: string, load: () => Promise<{default: import("preact").FunctionComponent}>, words?: string[]}[]} */
export const PAGES = [
  { name: "overview", load: () => import("./pages/overview.js"), words: ["account"] },
  { name: "accounts", load: () => import("./pages/accounts.js"), words: ["account"] },
  { name: "playground", load: () => import("./pages/playground.js") },
  { name: "requests", load: () => import("./pages/requests.js"), words: ["errors"] },
  { name: "usage", load: () => import("./pages/usage.js") },
  { name: "keys", load: () => import("./pages/keys.js") },
  { name: "settings", load: () => import("./pages/settings.js"), words: ["described"] },
  { name: "health", load: () => import("./pages/health.js"), words: ["said"] },
  { name: "audit", load: () => import("./pages/audit.js"), words: ["errors"] },
];
