// A chart of a few lines over time, drawn by uPlot, which is loaded when the first chart is. What it shows stands in a
// table too: to who can't see it, it is a picture with a name.

import { useEffect, useRef, useState } from "preact/hooks";
import { number } from "../format.js";
import { html } from "../html.js";
import { look } from "../look.js";
import { useStore } from "../store.js";
import { locale } from "../words.js";

const HEIGHT = 280;

/**
 * @param {{label: string, times: number[], lines: {name: string, values: number[]}[], daily: boolean, point: (at: number | null) => void}} props
 *   `point` is told which place on the time axis the pointer is at
 */
export function Chart({ label, times, lines, daily, point }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [uPlot, setUPlot] = useState(/** @type {any} */ (null));
  const dark = useDark();
  useEffect(() => {
    void load().then((found) => setUPlot(() => found));
  }, []);
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    if (!uPlot) return undefined;
    const chart = new uPlot(optionsOf(element, lines, daily, point), [times, ...lines.map(({ values }) => values)], element);
    const watch = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.destroy();
    };
  }, [uPlot, times, lines, daily, dark]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${label}></div>`;
}

/** The colour of a line, by its place: the same in the chart and beside its name. */
export const colour = (at) => `var(--line-${(at % 8) + 1})`;

function optionsOf(element, lines, daily, point) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(name).trim();
  const day = new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric" });
  const time = new Intl.DateTimeFormat(locale(), { hour: "numeric", minute: "2-digit" });
  const when = (date) => (daily || (!date.getHours() && !date.getMinutes()) ? day : time).format(date);
  const axis = { stroke: of("--ink-2"), grid: { stroke: of("--line"), width: 1 }, ticks: { stroke: of("--line"), width: 1 }, font: `12px ${of("--font")}` };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.05, 1e-9)] } },
    axes: [
      { ...axis, space: 90, values: (_, splits) => splits.map((at) => when(new Date(at * 1000))) },
      { ...axis, size: (_, texts) => 28 + 8 * Math.max(1, ...(texts ?? []).map((text) => text.length)), values: (_, splits) => splits.map((value) => number(value, { notation: "compact", maximumSignificantDigits: 3 })) },
    ],
    series: [{}, ...lines.map((_, at) => ({ stroke: of(`--line-${(at % 8) + 1}`), width: 2, dash: at >= 4 ? [6, 4] : undefined, points: { show: false } }))],
    hooks: { setCursor: [({ cursor }) => point(cursor.idx ?? null)] },
  };
}

let loading = /** @type {Promise<any> | null} */ (null);

function load() {
  loading ??= import("uplot").then(({ default: uPlot }) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL("../vendor/uplot.css", import.meta.url).href;
    document.head.append(link);
    return uPlot;
  });
  return loading;
}

/** Whether it is dark: a canvas has to be drawn anew when that changes. */
function useDark() {
  const { theme } = useStore(look);
  const [system, setSystem] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setSystem(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, []);
  return theme ? theme === "dark" : system;
}
