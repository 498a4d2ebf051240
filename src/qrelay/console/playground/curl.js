// The same request as a line for a POSIX shell. The key is a variable in it, never the key.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(origin, api, asked, stream) {
  const headers = { "content-type": "application/json", ...api.headers("$QRELAY_KEY") };
  const lines = Object.entries(headers).map(([name, value]) =>
    value.includes("$QRELAY_KEY") ? `-H "${name}: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`,
  );
  return [
    `curl ${stream ? "-N " : ""}${quoted(origin + api.path)}`,
    ...lines,
    `-d ${quoted(JSON.stringify(api.body(asked, stream)))}`,
  ].join(" \\\n  ");
}
