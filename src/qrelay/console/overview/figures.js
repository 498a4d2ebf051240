// The figures at the top: what was asked, what was answered, how fast, what is left.

import { amount, milliseconds, number, percent } from "../format.js";
import { html } from "../html.js";
import { hrefOf } from "../router.js";
import { Time } from "../ui/time.js";
import { around, t } from "../words.js";

/** @param {{overview: any}} props the answer of /v2/overview */
export function Figures({ overview }) {
  const { requests, first_byte_ms: first, credits, in_flight: flying, queued } = overview;
  const asked = requests?.last_24h ?? 0;
  const failed = requests?.errors_last_24h ?? 0;
  const waits = queued ? ` · ${t("overview.queued", { count: queued })}` : "";
  return html`
    <dl class="strip">
      <${Figure} name=${t("overview.requests")} value=${number(asked)} more="${t("overview.flight", { count: flying ?? 0 })}${waits}" />
      <${Figure} name=${t("overview.answered")} value=${asked ? percent((asked - failed) / asked) : "–"} more=${failed ? html`<a href=${hrefOf("requests", { status: "error" })}>${t("overview.errors", { count: failed })}</a>` : t("overview.errors", { count: 0 })} />
      <${Figure} name=${t("overview.first")} value=${first?.p50 == null ? "–" : milliseconds(first.p50)}
        more=${first?.p95 == null ? t("overview.first.none") : t("overview.first.p95", { value: milliseconds(first.p95) })} />
      <${Credits} credits=${credits} />
    </dl>
  `;
}

function Credits({ credits }) {
  if (!credits || credits.limit === null || credits.limit === undefined || credits.limit === 0) {
    return html`<${Figure} name=${t("overview.credits")} value="–" more=${t("unknown")} />`;
  }
  const left = credits.left ?? Math.max(0, credits.limit - credits.used);
  const resets = credits.resets_at && html` · ${around("account.quota.resets", html`<${Time} at=${credits.resets_at} />`)}`;
  return html`
    <${Figure} name=${t("overview.credits")} value=${amount(left)}
      more=${html`${t("overview.credits.of", { limit: amount(credits.limit) })}${resets}${credits.stale ? ` · ${t("account.quota.old")}` : ""}`} />
  `;
}

const Figure = ({ name, value, more }) => html`<div><dt>${name}</dt><dd class="figure">${value}</dd><dd class="meta">${more}</dd></div>`;
