// Starts Swagger UI on /openapi.json. Nothing is asked of another host, and nothing that is typed in is kept.

// As the console is looked at (console/look.js), before anything is drawn.
const dark = matchMedia("(prefers-color-scheme: dark)");
const chosen = (() => {
  try {
    return JSON.parse(localStorage.getItem("qrelay.look") ?? "{}")?.theme;
  } catch {
    return null; // storage may be off, or hold something of somebody else
  }
})();
const dress = () => document.documentElement.classList.toggle("dark-mode", chosen ? chosen === "dark" : dark.matches);
dress();
dark.addEventListener("change", dress);

/** What is asked from here says so, and may change something where the console's session is what lets it in. */
function marked(request) {
  Object.assign(request.headers, { "x-qrelay-client": "docs", "x-qrelay-csrf": "1" });
  return request;
}

/** Where Swagger UI would do something that is of no use here. */
const Ours = (system) => ({
  wrapComponents: {
    // A description is one sentence of plain text. As text it needs no way to make HTML of it, and the page has none.
    Markdown: () => ({ source }) => (source ? system.React.createElement("p", null, source) : null),
    // The session is a cookie, which no script can read or write: there is nothing to be typed in.
    auths: (Original) => (given) => {
      const make = system.React.createElement;
      const [name, scheme] = given.definitions.entrySeq().first();
      if (scheme.get("in") !== "cookie") return make(Original, given);
      const said = make("p", null, scheme.get("description"));
      return make("div", { className: "auth-container" }, make("h4", null, make("code", null, name)), said);
    },
  },
  statePlugins: {
    spec: {
      wrapSelectors: {
        // An answer is shown when it has ended, and a stream of events may never.
        allowTryItOutFor: () => (state, path, method) => {
          const told = system.specSelectors.specJson().getIn(["paths", path, method, "responses", "200", "content"]);
          return !told?.has("text/event-stream");
        },
      },
    },
  },
});

addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#api",
    plugins: [Ours],
    validatorUrl: null, // otherwise a picture of another host says whether the description is valid
    deepLinking: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    requestInterceptor: marked,
    showMutatedRequest: false, // the line for curl is for programs, which need none of these headers
  });
});
