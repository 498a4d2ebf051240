// AWS's client of the operations beside the chat, on the restJson binding: models, profiles, usage.
import { strict as assert } from "node:assert";
import { refused, require, run, steer, url } from "./simulator.mjs";

const {
  CodeWhispererRuntimeClient,
  GetUsageLimitsCommand,
  ListAvailableModelsCommand,
  ListAvailableProfilesCommand,
} = require("@amzn/codewhisperer-runtime");

const person = await steer("accounts", { name: "control-builder-id" });
const seat = await steer("accounts", { name: "control-seat", kind: "identity_center" });

function client(token) {
  return new CodeWhispererRuntimeClient({ region: "us-east-1", endpoint: url, token: { token }, maxAttempts: 1 });
}

await run({
  async "models, page by page"() {
    const all = await client(person.accessToken).send(new ListAvailableModelsCommand({ origin: "CLI" }));
    assert.ok(all.models.length > 1);
    assert.ok(all.models.every((model) => model.modelId && model.tokenLimits.maxInputTokens > 0));
    assert.ok(all.defaultModel.modelId);
    const ids = [];
    let nextToken;
    do {
      const page = await client(person.accessToken).send(
        new ListAvailableModelsCommand({ origin: "CLI", maxResults: 1, nextToken }),
      );
      ids.push(...page.models.map((model) => model.modelId));
      nextToken = page.nextToken;
    } while (nextToken && ids.length < 100);
    assert.deepEqual(ids, all.models.map((model) => model.modelId));
  },

  async "profiles of a seat"() {
    const { profiles } = await client(seat.accessToken).send(new ListAvailableProfilesCommand({ maxResults: 10 }));
    assert.equal(profiles[0].arn, seat.profileArn);
    assert.ok(profiles[0].profileName);
  },

  async "no profiles for Builder ID"() {
    const error = await refused(client(person.accessToken).send(new ListAvailableProfilesCommand({})));
    assert.equal(error.name, "AccessDeniedException");
    assert.match(error.message, /Builder ID is not supported/);
  },

  async "usage"() {
    const usage = await client(person.accessToken).send(new GetUsageLimitsCommand({ origin: "CLI", isEmailRequired: true }));
    assert.ok(usage.nextDateReset instanceof Date);
    assert.ok(usage.usageBreakdownList[0].usageLimitWithPrecision > 0);
    assert.ok(usage.userInfo.userId);
  },

  async "a bearer nobody has"() {
    const error = await refused(client("nobody's").send(new ListAvailableModelsCommand({ origin: "CLI" })));
    assert.equal(error.name, "AccessDeniedException");
  },
});
