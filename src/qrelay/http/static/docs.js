// The API's routes as /openapi.json describes them, each with a form to try it. No library, nothing from another host.

const bearer = document.querySelector("#bearer");
const place = document.querySelector("#operations");

const api = await (await fetch("/openapi.json", { headers: authorization() })).json();
const tags = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags[0];
    if (!tags.has(tag)) tags.set(tag, []);
    tags.get(tag).push({ path, method: method.toUpperCase(), ...operation });
  }
}
for (const [tag, operations] of tags) {
  place.append(make("h2", tag), ...operations.map(shown));
}

function shown(operation) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(make("b", operation.method), " ", make("code", operation.path), " ", make("span", operation.summary));
  const body = document.createElement("div");
  const form = document.createElement("form");
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const label = make("label", [parameter.name, parameter.description].filter(Boolean).join(": "));
    const input = document.createElement("input");
    input.name = parameter.name;
    input.required = parameter.required ?? false;
    label.append(input);
    form.append(label);
    return input;
  });
  let text = null;
  if (operation.requestBody) {
    const schema = resolved(operation.requestBody.content["application/json"].schema);
    const label = make("label", "Body");
    text = document.createElement("textarea");
    text.value = JSON.stringify(example(schema), null, 2);
    text.spellcheck = false;
    label.append(text);
    form.append(label);
    body.append(make("p", "Members:"), make("pre", members(schema)));
  }
  const answer = document.createElement("pre");
  answer.hidden = true;
  answer.setAttribute("aria-live", "polite");
  form.append(make("button", "Send"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    try {
      await send(operation, inputs, text, answer);
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  body.append(form, answer);
  details.append(summary, body);
  return details;
}

async function send(operation, inputs, text, answer) {
  let path = operation.path;
  const query = new URLSearchParams();
  (operation.parameters ?? []).forEach((parameter, at) => {
    const { value } = inputs[at];
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value) query.set(parameter.name, value);
  });
  if (query.size) path += `?${query}`;
  const headers = authorization();
  if (text) headers["content-type"] = "application/json";
  const response = await fetch(path, { method: operation.method, headers, body: text?.value });
  answer.textContent = `${response.status}\n`;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let whole = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    whole += part.value;
    answer.textContent = `${response.status}\n${whole}`;
  }
  if (response.headers.get("content-type")?.startsWith("application/json")) {
    answer.textContent = `${response.status}\n${JSON.stringify(JSON.parse(whole), null, 2)}`;
  }
}

function authorization() {
  return bearer.value ? { authorization: `Bearer ${bearer.value}` } : {};
}

function resolved(schema) {
  if (!schema.$ref) return schema;
  return schema.$ref.split("/").slice(1).reduce((held, name) => held[name], api);
}

function example(schema) {
  if (schema.example !== undefined) return schema.example;
  const required = schema.required ?? [];
  return Object.fromEntries(required.map((name) => [name, ""]));
}

function members(schema) {
  return Object.entries(schema.properties ?? {})
    .map(([name, held]) => {
      const types = (held.anyOf ?? [held]).map((one) => one.enum?.join(" | ") ?? one.type ?? "any");
      return `${name}${schema.required?.includes(name) ? "" : "?"}: ${types.join(" | ")}`;
    })
    .join("\n");
}

function make(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
