// The requests of this gateway as they end, over server-sent events: the browser connects anew by itself, and says with
// `Last-Event-ID` what it has seen. Rows are handed over a few times a second, however many end.

const EVERY = 200; // ms
const AGAIN = 5000; // ms, after a refusal, which the browser takes for the end

/**
 * @param {(rows: any[]) => void} take
 * @param {(state: "connecting" | "live") => void} tell
 * @returns {() => void} ends it
 */
export function follow(take, tell) {
  let source = /** @type {EventSource | null} */ (null);
  let waiting = [];
  let timer = 0;
  let again = 0;
  const flush = () => {
    timer = 0;
    const rows = waiting;
    waiting = [];
    take(rows);
  };
  const connect = () => {
    tell("connecting");
    source = new EventSource("/v2/requests/live");
    source.addEventListener("open", () => tell("live"));
    source.addEventListener("request", (event) => {
      waiting.push(JSON.parse(event.data));
      timer ||= window.setTimeout(flush, EVERY);
    });
    source.addEventListener("error", () => {
      tell("connecting");
      if (source?.readyState === EventSource.CLOSED) again = window.setTimeout(connect, AGAIN);
    });
  };
  connect();
  return () => {
    clearTimeout(timer);
    clearTimeout(again);
    source?.close();
  };
}
