// Importing: a file or a text is shown to the gateway, which says what would become of each account; then it is done.

import { useState } from "preact/hooks";
import { call } from "../api.js";
import { html } from "../html.js";
import { Button } from "../ui/button.js";
import { Dialog } from "../ui/dialog.js";
import { Check, Field } from "../ui/field.js";
import { Problem } from "../ui/problem.js";
import { StateDot } from "../ui/state.js";
import { say } from "../ui/toasts.js";
import { t } from "../words.js";

const TONES = { added: "ok", renewed: "ok", revived: "ok", known: "off", deleted: "off", refused: "bad" };
const CHANGES = ["added", "renewed", "revived"];

/** @param {{changed: () => Promise<unknown>, onClose: () => void}} props */
export function ImportDialog({ changed, onClose }) {
  const [text, setText] = useState("");
  const [given, setGiven] = useState(/** @type {{blob: Blob, name: string} | null} */ (null));
  const [preview, setPreview] = useState(/** @type {any} */ (null));
  const [revive, setRevive] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const [over, setOver] = useState(false);

  const send = (file, { dryRun, reviving }) => {
    const asked = new URLSearchParams({ name: file.name });
    if (dryRun) asked.set("dry_run", "1");
    if (reviving) asked.set("revive", "1");
    return call(`/v2/import/file?${asked}`, { method: "POST", raw: file.blob });
  };
  const show = async (file, reviving = revive) => {
    setError(null);
    try {
      setPreview(await send(file, { dryRun: true, reviving }));
      setGiven(file);
    } catch (refused) {
      setPreview(null);
      setError(refused);
    }
  };
  const take = (files) => {
    if (files?.[0]) void show({ blob: files[0], name: files[0].name });
  };
  const doIt = async () => {
    const { results } = await send(given, { dryRun: false, reviving: revive });
    await changed();
    const count = results.filter(({ outcome }) => CHANGES.includes(outcome)).length;
    say(t("accounts.import.done", { count }));
    onClose();
  };
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer?.files);
  };
  const setReviving = (wanted) => {
    setRevive(wanted);
    if (given) void show(given, wanted);
  };
  const count = preview?.results.filter(({ outcome }) => CHANGES.includes(outcome)).length ?? 0;
  return html`
    <${Dialog} title=${t("account.import")} onClose=${onClose} wide>
      <p>${t("accounts.import.what")}</p>
      ${error && html`<${Problem} error=${error} />`}
      ${preview
        ? html`<${Preview} preview=${preview} revive=${revive} setRevive=${setReviving} />`
        : html`
          <div class="drop ${over ? "over" : ""}" onDragOver=${(event) => (event.preventDefault(), setOver(true))}
            onDragLeave=${() => setOver(false)} onDrop=${dropped}>
            <label class="stack"><span>${t("accounts.import.file")}</span>
              <input type="file" accept=".json,.jsonl,.sqlite3,.sqlite,.db" onChange=${(event) => take(event.currentTarget.files)} /></label>
          </div>
          <${Field} label=${t("accounts.import.text")} value=${text} set=${setText} lines=${6} placeholder='[{"clientId": "…", "clientSecret": "…", "refreshToken": "…"}]' />
        `}
      <div class="actions">
        ${preview
          ? html`
            <${Button} act=${() => setPreview(null)}>${t("accounts.import.other")}<//>
            <${Button} kind="primary" act=${doIt} disabled=${count === 0}>${t("accounts.import.do", { count })}<//>`
          : html`
            <${Button} act=${onClose}>${t("cancel")}<//>
            <${Button} kind="primary" disabled=${!text.trim()} act=${() => show({ blob: new Blob([text]), name: t("accounts.import.pasted") })}>${t("accounts.import.show")}<//>`}
      </div>
    <//>
  `;
}

function Preview({ preview, revive, setRevive }) {
  const { results, skipped } = preview;
  const shown = results.slice(0, 100);
  const deleted = results.some(({ outcome }) => outcome === "deleted" || outcome === "revived");
  return html`
    <div class="table-box preview" tabindex="0" role="region" aria-label=${t("accounts.import.preview")}>
      <table class="table" aria-label=${t("accounts.import.preview")}>
        <thead><tr><th scope="col">${t("accounts.col.name")}</th><th scope="col">${t("accounts.col.kind")}</th><th scope="col">${t("accounts.import.outcome")}</th></tr></thead>
        <tbody>
          ${shown.map(({ index, label, kind, outcome, error, account }) => html`
            <tr key=${index}>
              <td class="name">${label ?? account?.label ?? t("accounts.import.unnamed", { number: index + 1 })}</td>
              <td>${kind ? t(`account.kind.${kind}`) : ""}</td>
              <td><${StateDot} tone=${TONES[outcome]}>${t(`accounts.import.outcome.${outcome}`)}<//>${error && html`<p class="meta text">${error.message}</p>`}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>
    ${results.length > shown.length && html`<p class="meta">${t("accounts.import.more", { count: results.length - shown.length })}</p>`}
    ${skipped.slice(0, 20).map((reason) => html`<p key=${reason} class="meta text">${reason}</p>`)}
    ${deleted && html`<${Check} label=${t("accounts.import.revive")} checked=${revive} set=${setRevive} />`}
  `;
}
