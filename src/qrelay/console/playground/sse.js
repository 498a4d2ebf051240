// Server-sent events out of text that arrives in pieces. No network, no dialect.
//
//     event: NAME          -> feed() hands over {name, data} at the empty line; name is "" without an `event:` line
//     data: TEXT

//     : comment            -> nothing

/** @typedef {{name: string, data: string, id: string}} SseEvent */

/** @param {(event: SseEvent) => void} tell called for each whole event, in order */
export function sseReader(tell) {
  let rest = [];
  let name = "";
  let id = "";
  let data = [];

  function line(text) {
    if (text === "") {
      if (data.length) tell({ name, data: data.join("\n"), id });
      name = id = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
    else if (field === "id") id = value;
  }

  return {
    /** @param {string} text any cut of the stream; a line that is not over is kept without being copied again */
    feed(text) {
      let from = 0;
      for (let to = text.indexOf("\n"); to >= 0; from = to + 1, to = text.indexOf("\n", from)) {
        rest.push(text.slice(from, to));
        const whole = rest.length === 1 ? rest[0] : rest.join("");
        rest = [];
        line(whole.endsWith("\r") ? whole.slice(0, -1) : whole);
      }
      if (from < text.length) rest.push(text.slice(from));
    },
  };
}
