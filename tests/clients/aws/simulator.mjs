// The running simulator, steered under /_sim/, and a way to load a package from the folder that npm filled.
import { strict as assert } from "node:assert";
import { createRequire } from "node:module";

export const url = process.env.QRELAY_SIMULATOR;
export const require = createRequire(`${process.cwd()}/`);

/** POST to a steering route. */
export async function steer(path, body = {}) {
  const answer = await fetch(`${url}/_sim/${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.ok(answer.ok, `/_sim/${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

/** What was asked of the simulator, the newest last. */
export async function requests() {
  return (await (await fetch(`${url}/_sim/requests`)).json()).requests;
}

/** The error a promise ends with; one that does not fail is a failure here. */
export async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("this should have been refused");
}

/** Run named checks one after another; each failure is told, and the exit code is 1 if there was one. */
export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      process.exitCode = 1;
      console.error(`${name}: ${error?.stack ?? error}`);
    }
  }
}
