// Markup as tagged templates: html`<p>${text}</p>` makes elements, never a string of HTML. What is put in is text.

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
