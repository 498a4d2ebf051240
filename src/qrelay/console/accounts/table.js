// Accounts as a table: for those who have many, or who look for the one that is different.

import { useMemo } from "preact/hooks";
import { percent } from "../format.js";
import { html } from "../html.js";
import { useQuery } from "../router.js";
import { Table } from "../ui/table.js";
import { t } from "../words.js";
import { nameOf, STATES, usedShare } from "./account.js";
import { kindOf, State, Token } from "./parts.js";

/** @param {{accounts: import("./account.js").Account[], open: (account: import("./account.js").Account) => void}} props */
export function AccountTable({ accounts, open }) {
  const [sort, setSort] = useQuery("sort");
  const columns = useMemo(
    () => [
      { key: "name", title: t("accounts.col.name"), show: (row) => html`<span class="name">${nameOf(row)}</span>`, sort: (row) => nameOf(row).toLowerCase() },
      { key: "state", title: t("accounts.col.state"), show: (row) => html`<${State} account=${row} />`, sort: (row) => STATES.indexOf(row.state) },
      { key: "kind", title: t("accounts.col.kind"), show: kindOf, room: "wider", sort: kindOf },
      { key: "used", title: t("accounts.col.used"), number: true, room: "wide", show: (row) => shareOf(row), sort: (row) => usedShare(row) ?? -1 },
      { key: "token", title: t("accounts.fact.token"), room: "wide", show: (row) => html`<${Token} account=${row} />`, sort: (row) => row.expiresAt ?? "" },
      { key: "flight", title: t("accounts.fact.flight"), number: true, room: "wider", show: (row) => row.in_flight ?? "", sort: (row) => row.in_flight ?? 0 },
    ],
    [],
  );
  return html`
    <div class="seats">
      <${Table} label=${t("page.accounts")} columns=${columns} rows=${accounts} rowKey=${(row) => row.id} open=${open}
        openLabel=${nameOf} sort=${sort} setSort=${setSort} />
    </div>
  `;
}

function shareOf(row) {
  const share = usedShare(row);
  return share === null ? t("unknown") : percent(share);
}
