// AWS's client of the log-in service: registration, device log-in, rotating refresh, and its errors by their names.
import { strict as assert } from "node:assert";
import { refused, require, run, steer, url } from "./simulator.mjs";

const {
  CreateTokenCommand,
  RegisterClientCommand,
  SSOOIDCClient,
  StartDeviceAuthorizationCommand,
} = require("@aws-sdk/client-sso-oidc");

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const client = new SSOOIDCClient({ region: "us-east-1", endpoint: url, maxAttempts: 1 });

async function register() {
  const { clientId, clientSecret, clientSecretExpiresAt } = await client.send(
    new RegisterClientCommand({
      clientName: "qrelay clients",
      clientType: "public",
      scopes: ["codewhisperer:completions", "codewhisperer:conversations"],
    }),
  );
  assert.ok(clientSecretExpiresAt > Date.now() / 1000);
  return { clientId, clientSecret };
}

async function device(registration) {
  const started = await client.send(
    new StartDeviceAuthorizationCommand({ ...registration, startUrl: "https://view.awsapps.com/start" }),
  );
  assert.ok(started.verificationUriComplete.includes(started.userCode));
  assert.ok(started.expiresIn > 0 && started.interval >= 0);
  return started;
}

async function logIn() {
  const registration = await register();
  const { deviceCode, userCode } = await device(registration);
  await steer("devices", { userCode, decision: "approved" });
  const token = await client.send(new CreateTokenCommand({ ...registration, grantType: DEVICE, deviceCode }));
  return { registration, token };
}

function refresh(registration, refreshToken) {
  return client.send(new CreateTokenCommand({ ...registration, grantType: "refresh_token", refreshToken }));
}

await run({
  async "a device log-in"() {
    const registration = await register();
    const { deviceCode, userCode } = await device(registration);
    const poll = () => client.send(new CreateTokenCommand({ ...registration, grantType: DEVICE, deviceCode }));
    assert.equal((await refused(poll())).name, "AuthorizationPendingException");
    await steer("devices", { userCode, decision: "approved" });
    await new Promise((done) => setTimeout(done, 1100)); // the interval between polls
    const token = await poll();
    assert.equal(token.tokenType, "Bearer");
    assert.ok(token.accessToken && token.refreshToken && token.expiresIn > 0);
  },

  async "one that is denied"() {
    const registration = await register();
    const { deviceCode, userCode } = await device(registration);
    await steer("devices", { userCode, decision: "denied" });
    const error = await refused(client.send(new CreateTokenCommand({ ...registration, grantType: DEVICE, deviceCode })));
    assert.equal(error.name, "AccessDeniedException");
  },

  async "a refresh rotates, and the old token is dead"() {
    const { registration, token } = await logIn();
    const renewed = await refresh(registration, token.refreshToken);
    assert.notEqual(renewed.accessToken, token.accessToken);
    assert.notEqual(renewed.refreshToken, token.refreshToken);
    const error = await refused(refresh(registration, token.refreshToken));
    assert.equal(error.name, "InvalidGrantException");
    assert.equal(error.error, "invalid_grant");
  },

  async "a registration nobody made"() {
    const error = await refused(refresh({ clientId: "nobody", clientSecret: "none" }, "none"));
    assert.equal(error.name, "InvalidClientException");
    assert.equal(error.$metadata.httpStatusCode, 401);
  },

  async "slow down, and a server that fails"() {
    const { registration, token } = await logIn();
    await steer("token-errors", { errors: ["slow_down", "server_error"] });
    assert.equal((await refused(refresh(registration, token.refreshToken))).name, "SlowDownException");
    assert.equal((await refused(refresh(registration, token.refreshToken))).name, "InternalServerException");
    assert.ok((await refresh(registration, token.refreshToken)).accessToken);
  },
});
