// The frame around every page: the rail (a bar at the top of small screens), and where one is.

import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";
import { Looks } from "./looks.js";
import { PAGES } from "./pages.js";
import { hrefOf } from "./router.js";
import { door } from "./api.js";
import * as session from "./session.js";
import { useStore } from "./store.js";
import { tell } from "./ui/toasts.js";
import { t } from "./words.js";

export function Shell({ page, children }) {
  const pages = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // On a small screen the pages are a row that scrolls: the one that is open is in sight.
    const bar = pages.current;
    const here = /** @type {HTMLElement | null} */ (bar?.querySelector("[aria-current]") ?? null);
    if (bar && here) bar.scrollLeft = here.offsetLeft - bar.offsetLeft - (bar.clientWidth - here.offsetWidth) / 2;
  }, [page]);
  return html`
    <a class="skip" href="#content">${t("shell.skip")}</a>
    <div class="shell">
      <header class="rail">
        <a class="brand" href="/"><i aria-hidden="true"></i>qrelay</a>
        <nav ref=${pages} aria-label=${t("shell.pages")}>
          ${PAGES.map(
            ({ name }) =>
              html`<a key=${name} href=${hrefOf(name)} aria-current=${name === page ? "page" : undefined}>${t(`page.${name}`)}</a>`,
          )}
        </nav>
        <${Foot} />
      </header>
      <main id="content" tabindex="-1">${children}</main>
    </div>
  `;
}

function Foot() {
  const { required } = useStore(door);
  return html`
    <div class="foot">
      <${Looks} />
      <a class="docs" href="/docs" target="_blank" rel="noopener">${t("shell.docs")}</a>
      ${required && html`<button type="button" class="button quiet" onClick=${() => session.close().catch(tell)}>${t("shell.leave")}</button>`}
      <span class="where">${location.host} · ${document.documentElement.dataset.version}</span>
    </div>
  `;
}
