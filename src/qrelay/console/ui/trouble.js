// A failure in the page's language, as far as there are words for it: what the gateway says is English.

import { has, language, said, t } from "../words.js";

/**
 * @param {{message?: string, code?: string, remedy?: string | null}} error
 * @returns {{title: string, detail: string | null, remedy: string | null}} `detail`: the gateway's own sentence, where
 *   the title is only what kind of failure it is
 */
export function inWords(error) {
  const message = error?.message ?? String(error);
  const remedy = error?.remedy ? said(error.remedy) : null;
  const title = said(message);
  if (title !== message || language() === "en" || !has(`code.${error.code}`)) return { title, detail: null, remedy };
  return { title: t(`code.${error.code}`), detail: message, remedy };
}
