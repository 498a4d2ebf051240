// The rows the Requests page holds: newest first, history below, what ends now on top. No network, no drawing.
//
//     add(rows)      rows that ended now (any order); kept back while it is paused
//     append(rows)   older ones, as they come page by page
//

// At most `MOST` rows are held; beyond them the oldest go.

export const MOST = 5000;

export class RequestLog {
  constructor() {
    this.rows = [];
    this.held = [];
    this.paused = false;
    this.more = true;
  }

  add(rows) {
    if (!rows.length) return;
    const fresh = this.#unknown(rows);
    if (this.paused) {
      this.held = newestFirst([...fresh, ...this.held]).slice(0, MOST);
      return;
    }
    this.rows = newestFirst([...fresh, ...this.rows]);
    this.#shorten();
  }

  append(rows, more) {
    this.rows = newestFirst([...this.rows, ...this.#unknown(rows)]).slice(0, MOST);
    this.more = more && this.rows.length < MOST; // at the end of what is held nothing older is fetched
  }

  resume() {
    const held = this.held;
    this.held = [];
    this.paused = false;
    this.rows = newestFirst([...held, ...this.rows]);
    this.#shorten();
  }

  #unknown(rows) {
    const known = new Set([...this.rows, ...this.held].map((row) => row.seq));
    return rows.filter((row) => !known.has(row.seq));
  }

  #shorten() {
    if (this.rows.length <= MOST) return;
    this.rows.length = MOST;
    this.more = true;
  }
}

/** They are nearly so: what comes is sorted already. */
const newestFirst = (rows) => rows.sort((one, other) => other.seq - one.seq);

/** The filters there are, as they stand in the address and as the API takes them. */
export const FILTERS = ["status", "dialect", "model", "account", "key"];

/** Whether a row that came live is one the filters let through; the history is filtered by the server. */
export function matches(row, filters) {
  const fits = {
    dialect: [row.dialect],
    model: [row.model, row.model_asked],
    account: [row.account_id, row.account],
    key: [row.key_id],
  };
  return FILTERS.every((name) => {
    const wanted = filters[name];
    if (!wanted) return true;
    if (name !== "status") return fits[name].includes(wanted);
    if (wanted === "ok") return row.outcome === "ok";
    return wanted === "error" ? !["ok", "client_left"].includes(row.outcome) : [row.outcome, String(row.status)].includes(wanted);
  });
}
