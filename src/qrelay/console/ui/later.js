// A component that is loaded when it is first drawn: for what most visits don't open.

import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { tell } from "./toasts.js";

/** @param {() => Promise<import("preact").FunctionComponent<any>>} load */
export function later(load) {
  /** @type {import("preact").FunctionComponent<any> | null} */
  let found = null;
  return function Later(props) {
    const [component, setComponent] = useState(() => found);
    useEffect(() => {
      if (component) return;
      load().then((loaded) => {
        found = loaded;
        setComponent(() => loaded);
      }, tell);
    }, [component]);
    return component && html`<${component} ...${props} />`;
  };
}
