// What is said next: text and pictures, or the answers to the tools the model called.

import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Button } from "../ui/button.js";
import { Check, Field } from "../ui/field.js";
import { say, tell } from "../ui/toasts.js";
import { t } from "../words.js";
import { read, TYPES } from "./images.js";
import { stop } from "./talking.js";

/** @param {{calls: any[], running: boolean, ready: boolean, send: (parts: any[]) => unknown, children?: any}} props */
export function Composer({ calls, running, ready, send, children }) {
  const [text, setText] = useState("");
  const [images, setImages] = useState(/** @type {any[]} */ ([]));
  const [results, setResults] = useState(/** @type {Record<string, {text: string, failed: boolean}>} */ ({}));
  const chooser = useRef(/** @type {HTMLInputElement | null} */ (null));
  const resultOf = (call) => results[call.id] ?? { text: "", failed: false };
  const parts = () => [
    ...calls.map((call) => ({ kind: "tool_result", id: call.id, name: call.name, ...resultOf(call) })),
    ...images,
    ...(text.trim() ? [{ kind: "text", text }] : []),
  ];
  const go = () => {
    const said = parts();
    if (running || !ready || !said.length) return;
    setText("");
    setImages([]);
    setResults({});
    void Promise.resolve(send(said)).catch(tell);
  };
  const add = async (files) => {
    const found = await read(files);
    setImages((before) => [...before, ...found.images]);
    for (const [why, name] of found.refused) say(t(`playground.image.${why}`, { name }), { tone: "bad", seconds: 8 });
  };
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      go();
    }
  };
  const paste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    void add(files);
  };
  const drop = (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void add(event.dataTransfer.files);
  };
  return html`
    <form class="composer" onSubmit=${(event) => (event.preventDefault(), go())} onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
      ${calls.map(
        (call) => html`
          <div key=${call.id} class="tool">
            <${Field} label=${t("playground.tool.answer", { tool: call.name })} lines=${2} value=${resultOf(call).text}
              set=${(value) => setResults({ ...results, [call.id]: { ...resultOf(call), text: value } })} />
            <${Check} label=${t("playground.tool.failed")} checked=${resultOf(call).failed}
              set=${(failed) => setResults({ ...results, [call.id]: { ...resultOf(call), failed } })} />
          </div>
        `,
      )}
      <${Field} label=${t("playground.message")} lines=${3} value=${text} set=${setText} onKeyDown=${keys} onPaste=${paste}
        hint=${t("playground.message.hint")} />
      ${images.length > 0 &&
      html`<ul class="pictures">
        ${images.map(
          (image, at) => html`
            <li key=${at}>
              <img class="picture" alt=${image.name} src="data:${image.media};base64,${image.data}" />
              <button type="button" class="button quiet" onClick=${() => setImages(images.filter((one) => one !== image))}>
                ${t("playground.image.remove", { name: image.name })}</button>
            </li>
          `,
        )}
      </ul>`}
      <div class="actions">
        ${running
          ? html`<${Button} kind="primary" act=${stop}>${t("playground.stop")}<//>`
          : html`<button class="button primary" aria-disabled=${ready ? undefined : "true"}>${t("playground.send")}</button>`}
        <${Button} act=${() => chooser.current?.click()}>${t("playground.image.add")}<//>
        <input ref=${chooser} type="file" hidden multiple accept=${TYPES.join(",")}
          onChange=${(event) => (void add([...event.currentTarget.files]), (event.currentTarget.value = ""))} />
        ${children}
      </div>
    </form>
  `;
}
