// What can be done with an account: requests, and what is said about their outcome. No markup.
//
// Deleting is undone by not doing it yet: the account is switched off at once, so that it serves nobody any more, and
// deleted when the notice goes. A browser that ends before leaves it switched off.

import { patch, post, remove } from "../api.js";
import { milliseconds } from "../format.js";
import { store } from "../store.js";
import { say, tell } from "../ui/toasts.js";
import { t } from "../words.js";
import { nameOf } from "./account.js";

const path = ({ id }, more = "") => `/v2/accounts/${encodeURIComponent(id)}${more}`;

/** Accounts that are about to go, by id. @type {ReturnType<typeof store<ReadonlySet<string>>>} */
export const leaving = store(/** @type {ReadonlySet<string>} */ (new Set()));

const PATIENCE = 10; // seconds for an undo

export async function switchOn(account, enabled, changed) {
  await patch(path(account), { enabled });
  await changed();
  say(t(enabled ? "account.said.on" : "account.said.off", { name: nameOf(account) }));
}

export async function makeActive(account, changed) {
  await patch(path(account), { is_active: true });
  await changed();
  say(t("accounts.said.active", { name: nameOf(account) }));
}

export async function change(account, fields, changed) {
  await patch(path(account), fields);
  await changed();
  say(t("accounts.said.saved", { name: nameOf(account) }));
}

export async function refresh(account, changed) {
  try {
    await post(path(account, "/refresh"));
    say(t("accounts.said.refreshed", { name: nameOf(account) }));
  } finally {
    await changed();
  }
}

export async function refreshAll(changed) {
  const outcomes = await post("/v2/accounts/refresh");
  await changed();
  const failed = outcomes.filter(({ success }) => !success);
  if (outcomes.length === 0) say(t("accounts.said.nothing"));
  else if (failed.length === 0) say(t("accounts.said.all", { count: outcomes.length }));
  else {
    const names = failed.slice(0, 5).map(nameOf).join(", ");
    say(t("accounts.said.some", { count: failed.length, total: outcomes.length, names }), { tone: "bad", seconds: 0 });
  }
}

/** One tiny real request. @returns {Promise<string>} what came of it */
export async function test(account, changed) {
  try {
    const { model, latency_ms: took } = await post(path(account, "/test"));
    return t("accounts.tested", { model, took: milliseconds(took) });
  } finally {
    await changed();
  }
}

export async function drop(account, changed) {
  await patch(path(account), { enabled: false });
  mark(account.id, true);
  let kept = false;
  const atOnce = () => void remove(path(account), { keepalive: true }).catch(() => undefined);
  addEventListener("pagehide", atOnce);
  const end = () => {
    removeEventListener("pagehide", atOnce);
    mark(account.id, false);
  };
  say(t("accounts.said.leaving", { name: nameOf(account) }), {
    seconds: PATIENCE,
    undo: {
      label: t("undo"),
      act: async () => {
        kept = true;
        try {
          await patch(path(account), { enabled: account.enabled });
        } catch (error) {
          tell(error);
        }
        end();
        await changed();
      },
    },
    ended: async () => {
      if (kept) return;
      try {
        await remove(path(account));
      } catch (error) {
        tell(error);
      }
      await changed();
      end();
    },
  });
}

function mark(id, goes) {
  const next = new Set(leaving.get());
  if (goes) next.add(id);
  else next.delete(id);
  leaving.set(next);
}
