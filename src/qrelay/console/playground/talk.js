// What is said in the playground, in a form none of the three APIs owns; each API's module turns it into its own.
//
//     asked   {model, system, maxTokens, effort, tools: [{name, description, parameters}], turns}
//     turn    {role: "user" | "assistant", parts}
//     part    {kind: "text", text} | {kind: "image", media, data: base64}
//             {kind: "reasoning", text, proof?}        proof: what the API wants back with it, as it gave it
//             {kind: "tool_use", id, name, input}      input: the text of a JSON object, maybe not over yet
//             {kind: "tool_result", id, name, text, failed}

//     reply   {parts, usage, stop, error, ended}       usage {input, cacheRead, cacheWrite, output, estimated}

/**
 * A reply nothing of which has come yet.
 * @returns {{parts: any[], usage: any, stop: string | null, error: {code: string, message: string} | null, ended: boolean}}
 */
export function newReply() {
  return { parts: [], usage: null, stop: null, error: null, ended: false };
}

/** The last part if it is of this kind, else a new one; `key` tells parts of one kind apart that must not join. */
export function partOf(reply, kind, key) {
  const last = reply.parts.at(-1);
  if (last && last.kind === kind && last.key === key) return last;
  const part = kind === "tool_use" ? { kind, key, id: "", name: "", input: "" } : { kind, key, text: "" };
  reply.parts.push(part);
  return part;
}

/** The calls of a reply that have no answer in the turn after it. */
export function openCalls(turns) {
  const last = turns.at(-1);
  return last?.role === "assistant" ? last.parts.filter((part) => part.kind === "tool_use") : [];
}

/** A tool's input as the object the APIs want back; {} where the text is no object. */
export function inputOf(part) {
  try {
    const value = JSON.parse(part.input || "{}");
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

/**
 * Tools as a person writes them: ours, Anthropic's (`input_schema`) or OpenAI's (`function`), mixed as they like.
 * @param {string} text a JSON list, or ""
 * @returns {{name: string, description: string, parameters: object}[]}
 * @throws {Error} with a message key (`playground.tools.…`) that the page translates
 */
export function toolsFrom(text) {
  if (!text.trim()) return [];
  let list;
  try {
    list = JSON.parse(text);
  } catch {
    throw new Error("playground.tools.notJson");
  }
  if (!Array.isArray(list)) throw new Error("playground.tools.notList");
  return list.map((tool) => {
    const told = tool?.function ?? tool;
    if (typeof told?.name !== "string" || !told.name) throw new Error("playground.tools.noName");
    const parameters = told.parameters ?? told.input_schema ?? { type: "object", properties: {} };
    return { name: told.name, description: String(told.description ?? ""), parameters };
  });
}

export const EXAMPLE_TOOLS = JSON.stringify(
  [
    {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  ],
  null,
  2,
);
