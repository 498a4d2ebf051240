// What GET /v2/usage says, as columns for a chart: one time axis, one column a group. No drawing.
//

// At most `MOST` groups have a line of their own, by what they used; the rest is one line together.

export const MOST = 7;

export const MEASURES = {
  requests: (point) => point.requests,
  tokens: (point) => point.input_tokens + point.cache_read_tokens + point.cache_write_tokens + point.output_tokens,
  credits: (point) => point.credits ?? 0,
};

/**
 * @param {{series: {group: string, name: string, points: object[]}[]}} told
 * @param {keyof typeof MEASURES} measure
 * @typedef {{group: string | null, name: string | null, values: number[]}} Line group and name null: the rest together
 * @returns {{times: number[], lines: Line[]}} times in epoch seconds
 */
export function columns(told, measure) {
  const value = MEASURES[measure];
  const places = new Map();
  for (const { points } of told.series) for (const { at } of points) places.set(at, 0);
  const ats = [...places.keys()].sort();
  ats.forEach((at, index) => places.set(at, index));
  const lines = told.series.map(({ group, name, points }) => {
    const values = new Array(ats.length).fill(0);
    for (const point of points) values[places.get(point.at)] += value(point);
    return { group, name, values, sum: values.reduce((sum, one) => sum + one, 0) };
  });
  lines.sort((a, b) => b.sum - a.sum);
  /** @type {Line[]} */
  const shown = lines.slice(0, lines.length > MOST + 1 ? MOST : lines.length);
  const rest = lines.slice(shown.length);
  if (rest.length) {
    const values = ats.map((_, index) => rest.reduce((sum, line) => sum + line.values[index], 0));
    shown.push({ group: null, name: null, values });
  }
  return { times: ats.map((at) => Date.parse(at) / 1000), lines: shown };
}

/** The ranges there are to choose, with the step that suits each. */
export const RANGES = {
  "24h": { hours: 24, step: "hour" },
  "7d": { hours: 7 * 24, step: "hour" },
  "30d": { hours: 30 * 24, step: "day" },
  "365d": { hours: 365 * 24, step: "day" },
};

/** @returns {{from: string, to: string, step: string}} ending with the hour that `now` (a Date) is in */
export function period(range, now) {
  const { hours, step } = RANGES[range] ?? RANGES["24h"];
  const to = new Date(Math.ceil((now.getTime() + 1) / 3600e3) * 3600e3);
  return { from: new Date(to.getTime() - hours * 3600e3).toISOString(), to: to.toISOString(), step };
}
