// AWS's streaming client on the restJson binding: replies in all their forms, every refusal, every kind of damage.
import { strict as assert } from "node:assert";
import { refused, require, requests, run, steer, url } from "./simulator.mjs";

const { CodeWhispererStreamingClient, GenerateAssistantResponseCommand } = require("@aws/codewhisperer-streaming-client");

const account = await steer("accounts", { name: "streaming" });

function client(token = account.accessToken) {
  return new CodeWhispererStreamingClient({ region: "us-east-1", endpoint: url, token: { token }, maxAttempts: 1 });
}

const TOOL = { name: "look", description: "Looks.", inputSchema: { json: { type: "object", properties: { path: { type: "string" } }, required: ["path"] } } };

function ask(content, more = {}, token = undefined) {
  const userInputMessage = { content, origin: "CLI", modelId: "claude-sonnet-4.5", ...more };
  return client(token).send(
    new GenerateAssistantResponseCommand({
      conversationState: { conversationId: "c-1", chatTriggerType: "MANUAL", history: [], currentMessage: { userInputMessage } },
    }),
  );
}

/** [kind, event] of every event of an answer; `failure` is what the iteration ended with. */
async function events(answer) {
  const seen = [];
  try {
    for await (const event of (await answer).generateAssistantResponseResponse) seen.push(...Object.entries(event));
  } catch (failure) {
    return { seen, failure };
  }
  return { seen };
}

async function scripted(name) {
  await steer("next", { name });
  return events(ask("Hello"));
}

const of = (seen, kind) => seen.filter(([name]) => name === kind).map(([, event]) => event);
const text = (seen) => of(seen, "assistantResponseEvent").map((event) => event.content).join("");

function refusal(error, placement) {
  return steer("next", { scenario: { steps: [{ do: "refuse", error, placement }] } });
}

const ROWS = {
  improperly_formed: ["ValidationException", 400, undefined],
  content_length_exceeds_threshold: ["ValidationException", 400, "CONTENT_LENGTH_EXCEEDS_THRESHOLD"],
  invalid_model_id: ["ValidationException", 400, "INVALID_MODEL_ID"],
  tool_config_missing: ["ValidationException", 400, "TOOL_CONFIG_MISSING"],
  monthly_402: ["ServiceQuotaExceededException", 402, "MONTHLY_REQUEST_COUNT"],
  monthly_429: ["ThrottlingException", 429, "MONTHLY_REQUEST_COUNT"],
  monthly_400: ["ThrottlingException", 400, "MONTHLY_REQUEST_COUNT"],
  bearer_invalid: ["AccessDeniedException", 403, undefined],
  suspended: ["AccessDeniedException", 403, "TEMPORARILY_SUSPENDED"],
  feature_not_supported: ["AccessDeniedException", 403, "FEATURE_NOT_SUPPORTED"],
  not_found: ["ResourceNotFoundException", 404, undefined],
  kms_policy: ["ConflictException", 409, "CUSTOMER_KMS_KEY_INVALID_KEY_POLICY"],
  throttled: ["ThrottlingException", 429, undefined],
  capacity: ["ThrottlingException", 429, "INSUFFICIENT_MODEL_CAPACITY"],
  internal: ["InternalServerException", 500, undefined],
  model_unavailable: ["InternalServerException", 500, "MODEL_TEMPORARILY_UNAVAILABLE"],
  unavailable: ["ServiceUnavailableException", 503, undefined],
};

const checks = {
  async "a reply of the built-in model"() {
    const answer = await ask("Good morning.");
    assert.ok(answer.$metadata.requestId, "no request id");
    assert.ok(answer.conversationId, "no conversation id");
    const { seen, failure } = await events(answer);
    assert.equal(failure, undefined);
    assert.match(text(seen), /Good morning\./);
    const [metadata] = of(seen, "metadataEvent");
    assert.ok(metadata.tokenUsage.outputTokens > 0);
    assert.ok(of(seen, "contextUsageEvent")[0].contextUsagePercentage >= 0);
    assert.equal(of(seen, "meteringEvent")[0].unit, "credit");
    assert.equal((await requests()).at(-1).binding, "restJson");
  },

  async "a tool call in four steps"() {
    const { seen } = await events(ask("use the tool look", { userInputMessageContext: { tools: [{ toolSpecification: TOOL }] } }));
    const uses = of(seen, "toolUseEvent");
    assert.ok(uses.length >= 3);
    assert.ok(uses.every((use) => use.name === "look" && use.toolUseId === uses[0].toolUseId));
    assert.equal(uses[0].input, undefined);
    assert.equal(uses.at(-1).stop, true);
    assert.equal(typeof JSON.parse(uses.map((use) => use.input ?? "").join("")).path, "string");
  },

  async "emoji and Chinese"() {
    assert.match(text((await scripted("emoji")).seen), /👩‍👩‍👧‍👦/u);
    assert.equal(text((await scripted("chinese")).seen), "你好，世界。");
  },

  async "two equal deltas are two"() {
    assert.equal(text((await scripted("identical_deltas")).seen), "hahaha");
  },

  async "reasoning with a signature, and redacted"() {
    const { seen } = await scripted("reasoning_both");
    const reasoning = of(seen, "reasoningContentEvent");
    assert.ok(reasoning.some((event) => event.signature));
    assert.ok(reasoning.some((event) => event.redactedContent?.length));
  },

  async "events it does not know are skipped"() {
    const { seen, failure } = await scripted("unknown_event");
    assert.equal(failure, undefined);
    assert.equal(text(seen), "Hello again");
  },

  async "an exception after the 200"() {
    const { seen, failure } = await scripted("exception_error");
    assert.equal(text(seen), "Hello, world");
    assert.equal(failure.name, "InternalServerException");
  },

  async "an error frame"() {
    const { seen, failure } = await scripted("error_frame");
    assert.equal(text(seen), "Hello, world");
    assert.match(String(failure), /InternalError|internal server error/i);
  },

  async "an unauthenticated call"() {
    const error = await refused(ask("Hello", {}, "nobody's"));
    assert.equal(error.name, "AccessDeniedException");
    assert.equal(error.$metadata.httpStatusCode, 403);
    assert.match(error.message, /bearer token included in the request is invalid/);
  },

  async "a request that validation refuses"() {
    const error = await refused(ask(""));
    assert.equal(error.name, "ValidationException");
  },
};

for (const damage of ["bad_crc", "bad_prelude_crc", "truncated_frame", "cut_mid_frame", "cut_text"]) {
  checks[`damage: ${damage}`] = async () => {
    const { seen, failure } = await scripted(damage);
    assert.ok(failure, "no failure was raised");
    assert.ok("Hello, world".startsWith(text(seen)), text(seen));
  };
}

for (const [row, [name, status, reason]] of Object.entries(ROWS)) {
  for (const placement of ["header", "body"]) {
    checks[`refusal: ${row} in the ${placement}`] = async () => {
      await refusal(row, placement);
      const error = await refused(ask("Hello"));
      assert.equal(error.name, name);
      assert.equal(error.$metadata.httpStatusCode, status);
      assert.equal(error.reason ?? undefined, reason);
    };
  }
}

await run(checks);
