// Tables. A long one draws only the rows that can be seen and some around them: rows are then of one height, and the
// table scrolls in a box of its own.

import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";

const ROW = 44; // px, as in style/parts.css (.table.long)
const AROUND = 15; // rows drawn above and below what is seen
const STEP = 10; // how many rows it is scrolled by before others are drawn
const LONG = 80;

/**
 * @typedef {{key: string, title: string, show: (row: any) => any, number?: boolean, room?: "wide" | "wider" | "widest",
 *   sort?: (row: any) => string | number}} Column
 *   A column with `room` is left out where the table has less of it (style/parts.css); a row's drawer has the rest. How
 *   wide one is in a long table, a style says of th[data-column=KEY].
 */

/**
 * @param {{label: string, columns: Column[], rows: any[], rowKey: (row: any) => string, open?: (row: any) => void,
 *   openLabel?: (row: any) => string, sort?: string, setSort?: (sort: string) => void}} props
 *   `open` is for a press on a row and for the button in its first cell; `sort` is a column's key, "-" before it for
 *   downwards
 */
export function Table({ label, columns, rows, rowKey, open, openLabel, sort = "", setSort }) {
  const sorted = useMemo(() => inOrder(rows, columns, sort), [rows, columns, sort]);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [first, setFirst] = useState(0);
  const [seen, setSeen] = useState(20);
  const long = sorted.length > LONG;
  useEffect(() => {
    const element = box.current;
    if (!long || !element) return undefined;
    const watch = new ResizeObserver(() => setSeen(Math.ceil(element.clientHeight / ROW)));
    watch.observe(element);
    return () => watch.disconnect();
  }, [long]);
  const look = (top) => {
    const at = Math.floor(top / ROW);
    setFirst(at - (at % STEP));
  };
  const scrolled = (event) => look(event.currentTarget.scrollTop);
  // Other rows may be fewer, and the box is then scrolled back without a word.
  useLayoutEffect(() => look(long ? (box.current?.scrollTop ?? 0) : 0), [long, sorted]);
  const from = long ? Math.min(Math.max(0, first - AROUND), Math.max(0, sorted.length - seen - AROUND)) : 0;
  const to = long ? Math.min(sorted.length, first + seen + STEP + AROUND) : sorted.length;
  return html`
    <div class="table-box ${long ? "long" : ""}" ref=${box} onScroll=${long ? scrolled : undefined}
      tabindex=${long ? 0 : undefined} role=${long ? "region" : undefined} aria-label=${long ? label : undefined}>
      <table class="table ${long ? "long" : ""}" aria-label=${label} aria-rowcount=${long ? sorted.length + 1 : undefined}>
        <thead>
          <tr>${columns.map((column) => html`<${Head} key=${column.key} column=${column} sort=${sort} setSort=${setSort} />`)}</tr>
        </thead>
        <tbody>
          ${from > 0 && html`<${Gap} key="before" rows=${from} />`}
          ${sorted.slice(from, to).map(
            (row, at) =>
              html`<${Row} key=${rowKey(row)} row=${row} columns=${columns} open=${open} openLabel=${openLabel}
                index=${long ? from + at + 2 : undefined} />`,
          )}
          ${to < sorted.length && html`<${Gap} key="after" rows=${sorted.length - to} />`}
        </tbody>
      </table>
    </div>
  `;
}

function Head({ column, sort, setSort }) {
  const kind = kindOf(column);
  if (!column.sort || !setSort) return html`<th scope="col" data-column=${column.key} class=${kind}>${column.title}</th>`;
  const down = sort === `-${column.key}`;
  const up = sort === column.key;
  return html`
    <th scope="col" data-column=${column.key} class=${kind} aria-sort=${up ? "ascending" : down ? "descending" : undefined}>
      <button type="button" class="sort" onClick=${() => setSort(up ? `-${column.key}` : column.key)}>
        ${column.title}<span aria-hidden="true">${up ? " ↑" : down ? " ↓" : ""}</span>
      </button>
    </th>
  `;
}

/** A row is drawn anew when it is another object, and not because its neighbours are. */
class Row extends Component {
  shouldComponentUpdate(next) {
    return next.row !== this.props.row || next.columns !== this.props.columns || next.index !== this.props.index;
  }

  render({ row, columns, open, openLabel, index }) {
    const press = (event) => {
      if (!event.target.closest("a, button, input, select")) open(row);
    };
    return html`
      <tr aria-rowindex=${index} class=${open ? "opens" : undefined} onClick=${open ? press : undefined}>
        ${columns.map((column, at) => {
          const { key, show } = column;
          const inside = open && at === 0
            ? html`<button type="button" class="open" aria-label=${openLabel?.(row)} onClick=${() => open(row)}>${show(row)}</button>`
            : show(row);
          return html`<td key=${key} class=${kindOf(column)}>${inside}</td>`;
        })}
      </tr>
    `;
  }
}

const kindOf = ({ number, room = "" }) => `${number ? "n" : ""} ${room}`;

/** One cell: more would be columns that take room where others are left out. */
const Gap = ({ rows }) => html`<tr aria-hidden="true" class="gap"><td style=${{ height: `${rows * ROW}px` }}></td></tr>`;

function inOrder(rows, columns, sort) {
  const down = sort.startsWith("-");
  const by = columns.find(({ key }) => key === sort.replace(/^-/, ""))?.sort;
  if (!by) return rows;
  const ranked = rows.map((row) => [by(row), row]);
  ranked.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0) * (down ? -1 : 1));
  return ranked.map(([, row]) => row);
}
