// What an application with Scalekit's Node SDK does, against the running server. One version and one transport per
// process: VESTIBULE_SDK names the package, VESTIBULE_TRANSPORT is http or https.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { signInOverHttp, startVestibule } from '../../e2e/support/server.mjs';

const alias = process.env.VESTIBULE_SDK ?? 'scalekit-newest';
const transport = process.env.VESTIBULE_TRANSPORT ?? 'http';
const require = createRequire(import.meta.url);
const sdk = require(alias);
const { version } = JSON.parse(readFileSync(join(dirname(require.resolve(alias)), '..', 'package.json'), 'utf8'));
const callback = 'http://localhost:3000/auth/callback';
const page = 'https://app.example.com/verify';

// The authority that this process trusts since its start.
const authority = process.env.VESTIBULE_SDK_CA;
const results = {};
let vestibule;
let scalekit;

/** The server as its environment URL of this transport shows it. */
async function start(keep = ['--ephemeral', '--data-dir', authority], port = 0, toml = '') {
  const server = await startVestibule(toml, { keep, port });
  return { ...server, environmentUrl: transport === 'https' ? server.httpsUrl : server.url };
}

const client = (server) => new sdk.ScalekitClient(server.environmentUrl, server.clientId, server.clientSecret);

const signIn = async (server, url, address) => (await signInOverHttp(server, url, address)).searchParams;

before(async () => {
  vestibule = await start();
  scalekit = client(vestibule);
});
after(async () => {
  await vestibule?.stop();
  const folder = process.env.VESTIBULE_SDK_REPORT;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  const report = { sdk: 'Node', version, transport, results };
  writeFileSync(join(folder, `node-${version}-${transport}.json`), JSON.stringify(report, null, 2));
});

/** A test that stands in the table of docs/COMPATIBILITY.md. */
function scenario(id, name, steps) {
  test(`${version} over ${transport}: ${name}`, async () => {
    results[id] = 'fail';
    await steps();
    results[id] = 'pass';
  });
}

/** The exception and error code that an application sees. */
async function refused(call, exception, errorCode, words) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof sdk[exception], `${error.constructor.name}: ${error.message}`);
    assert.equal(error.errorCode, errorCode);
    assert.match(error.message, words);
    return true;
  });
}

const otherThan = (code, by) => String((Number(code) + by) % 1_000_000).padStart(6, '0');

async function sent(server, sender, address, options = {}) {
  const response = await sender.passwordless.sendPasswordlessEmail(address, { magiclinkAuthUri: page, ...options });
  return { id: response.authRequestId, response, mail: await server.mailTo(address) };
}

scenario('client_token', 'a client token is fetched and verified', async () => {
  const token = await scalekit.generateClientToken?.(vestibule.clientId, vestibule.clientSecret)
    ?? await scalekit.coreClient.authenticateClient().then(() => scalekit.coreClient.accessToken);
  assert.equal(await scalekit.validateAccessToken(token), true);
});

scenario('sign_in', 'a person signs in and the code is exchanged', async () => {
  const options = { loginHint: 'jane@example.com', state: 'xyz', nonce: 'n-1' };
  const answer = await signIn(vestibule, scalekit.getAuthorizationUrl(callback, options), options.loginHint);
  assert.equal(answer.get('state'), 'xyz');
  const result = await scalekit.authenticateWithCode(answer.get('code'), callback);
  assert.equal(result.user.email, 'jane@example.com');
  assert.ok(result.idToken && result.accessToken && result.expiresIn > 0);
  assert.equal(result.refreshToken, undefined);
  await assert.rejects(scalekit.authenticateWithCode(answer.get('code'), callback), (error) => error.response.data.error === 'invalid_grant');
});

scenario('sign_in_pkce', 'a person signs in with PKCE', async () => {
  const codeVerifier = randomBytes(48).toString('base64url');
  const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
  const options = { loginHint: 'pkce@example.com', codeChallenge, codeChallengeMethod: 'S256' };
  const url = scalekit.getAuthorizationUrl(callback, options);
  const code = (await signIn(vestibule, url, options.loginHint)).get('code');
  await assert.rejects(scalekit.authenticateWithCode(code, callback, { codeVerifier: 'x'.repeat(64) }));
  const second = (await signIn(vestibule, url, options.loginHint)).get('code');
  assert.equal((await scalekit.authenticateWithCode(second, callback, { codeVerifier })).user.email, options.loginHint);
});

async function tokens(server, sender, address) {
  const options = { loginHint: address, scopes: ['openid', 'profile', 'email', 'offline_access'] };
  const answer = await signIn(server, sender.getAuthorizationUrl(callback, options), address);
  return sender.authenticateWithCode(answer.get('code'), callback);
}

scenario('refresh', 'a refresh token rotates', async () => {
  const first = await tokens(vestibule, scalekit, 'refresh@example.com');
  const second = await scalekit.refreshAccessToken(first.refreshToken);
  assert.notEqual(second.refreshToken, first.refreshToken);
  assert.equal(await scalekit.validateAccessToken(second.accessToken), true);
  await assert.rejects(scalekit.refreshAccessToken('invented'), /Failed to refresh token/);
});

scenario('validate', 'good tokens are valid and tampered ones are not', async () => {
  const { accessToken } = await tokens(vestibule, scalekit, 'validate@example.com');
  assert.equal(await scalekit.validateAccessToken(accessToken), true);
  assert.equal(await scalekit.validateAccessToken(accessToken.replace(/.{4}$/, 'AAAA')), false);
  const claims = await scalekit.validateToken(accessToken, { issuer: vestibule.environmentUrl, audience: [vestibule.clientId] });
  assert.equal(claims.client_id, vestibule.clientId);
});

scenario('logout_url', 'the logout URL signs out', async () => {
  const { idToken } = await tokens(vestibule, scalekit, 'logout@example.com');
  const url = scalekit.getLogoutUrl({ idTokenHint: idToken, postLogoutRedirectUri: 'http://localhost:3000/', state: 's' });
  const response = await fetch(url, { redirect: 'manual' });
  assert.ok(response.status < 400, `${response.status}`);
});

scenario('headless_code', 'a code is sent, sent again and verified', async () => {
  const address = 'code@example.com';
  const template = sdk.TemplateType?.SIGNUP ?? 2;
  const { id, response, mail } = await sent(vestibule, scalekit, address, { state: 'st', template, expiresIn: 1800, templateVariables: { app_name: 'Acme' } });
  assert.equal(response.expiresIn, 1800);
  assert.equal(response.passwordlessType, 3, 'LINK_OTP');
  assert.ok(response.expiresAt > BigInt(Math.floor(Date.now() / 1000)));
  assert.match(mail.subject, /Acme/);
  const again = await scalekit.passwordless.resendPasswordlessEmail(id);
  assert.equal(again.authRequestId, id);
  const { code } = await vestibule.mailTo(address);
  const proof = await scalekit.passwordless.verifyPasswordlessEmail({ code }, id);
  assert.deepEqual([proof.email, proof.state, proof.template], [address, 'st', template]);
  const call = scalekit.passwordless.verifyPasswordlessEmail({ code }, id);
  await refused(call, 'ScalekitBadRequestException', 'AUTH_REQUEST_ALREADY_USED', /already used/);
});

scenario('headless_link', 'a link is sent and verified', async () => {
  const address = 'link@example.com';
  const { id, mail } = await sent(vestibule, scalekit, address, { magiclinkAuthUri: `${page}?state=a` });
  assert.ok(mail.link.startsWith(`${page}?state=a&link_token=`), mail.link);
  const linkToken = new URL(mail.link).searchParams.get('link_token');
  const alone = scalekit.passwordless.verifyPasswordlessEmail({ linkToken });
  await refused(alone, 'ScalekitBadRequestException', 'INVALID_ARGUMENT', /auth_request_id is required/);
  assert.equal((await scalekit.passwordless.verifyPasswordlessEmail({ linkToken }, id)).email, address);
});

scenario('wrong_code', 'a wrong code is a bad request that names itself', async () => {
  const { id, mail } = await sent(vestibule, scalekit, 'wrong@example.com');
  const call = scalekit.passwordless.verifyPasswordlessEmail({ code: otherThan(mail.code, 1) }, id);
  await refused(call, 'ScalekitBadRequestException', 'INVALID_CODE', /invalid.*attempts left: 4/);
});

scenario('expired_code', 'a code that is too old says so', async () => {
  const server = await start();
  try {
    const sender = client(server);
    const { id, mail } = await sent(server, sender, 'late@example.com');
    await server.moveClock(301);
    const call = sender.passwordless.verifyPasswordlessEmail({ code: mail.code }, id);
    await refused(call, 'ScalekitBadRequestException', 'AUTH_REQUEST_EXPIRED', /auth request expired/i);
  } finally {
    await server.stop();
  }
});

scenario('too_many_attempts', 'the sixth code is too many', async () => {
  const { id, mail } = await sent(vestibule, scalekit, 'many@example.com');
  for (let guess = 1; guess <= 5; guess += 1) {
    const call = scalekit.passwordless.verifyPasswordlessEmail({ code: otherThan(mail.code, guess) }, id);
    await refused(call, 'ScalekitBadRequestException', 'INVALID_CODE', /invalid/);
  }
  const call = scalekit.passwordless.verifyPasswordlessEmail({ code: mail.code }, id);
  await refused(call, 'ScalekitTooManyRequestsException', 'TOO_MANY_ATTEMPTS', /too many/);
});

scenario('unknown_request', 'an unknown auth request is not found', async () => {
  const call = scalekit.passwordless.verifyPasswordlessEmail({ code: '123456' }, 'nobody');
  await refused(call, 'ScalekitNotFoundException', 'AUTH_REQUEST_NOT_FOUND', /not found/);
});

scenario('not_emulated', 'a method that is not emulated says so by name', async () => {
  const call = scalekit.connection.enableConnection('org_1', 'conn_1');
  await refused(call, 'ScalekitNotImplementedException', 'NOT_EMULATED', /ConnectionService\/EnableConnection is not emulated/);
});

scenario('concurrent', 'twenty users prove their addresses at once', async () => {
  const proofs = await Promise.all(Array.from({ length: 20 }, async (_, n) => {
    const address = `concurrent${n}@example.com`;
    const { id, mail } = await sent(vestibule, scalekit, address);
    return (await scalekit.passwordless.verifyPasswordlessEmail({ code: mail.code }, id)).email === address;
  }));
  assert.ok(proofs.every(Boolean));
});

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

/** An organization, a role with a permission, and a member who has it and has accepted the invitation. */
async function invitedMember(server, sender, address) {
  const { organization } = await sender.organization.createOrganization('Acme', { externalId: 'acme' });
  await sender.permission.createPermission({ name: 'read:documents', description: 'Read documents' });
  await sender.role.createRole({ name: 'reader', displayName: 'Reader', permissions: ['read:documents'] });
  const { user } = await sender.user.createUserAndMembership(organization.id, { email: address, sendInvitationEmail: true });
  await sender.user.updateMembership(organization.id, user.id, { roles: ['reader'] });
  const { link } = await server.mailTo(address);
  const accepted = await fetch(link, { method: 'POST', body: new URLSearchParams() });
  assert.equal(accepted.status, 200, await accepted.text());
  return { organization, user };
}

/** A machine client of an organization, which gets tokens of its own until it is deleted. */
async function machineClient(sender, organization) {
  const options = { name: 'Robot', scopes: ['read'], audience: ['documents'] };
  const { client: machine, plainSecret } = await sender.m2m.createOrganizationClient(organization.id, options);
  const token = claims(await sender.generateClientToken(machine.clientId, plainSecret));
  assert.deepEqual([token.client_id, token.oid], [machine.clientId, organization.id]);
  await sender.m2m.deleteOrganizationClient(organization.id, machine.clientId);
  await assert.rejects(sender.generateClientToken(machine.clientId, plainSecret));
}

scenario('management', 'an organization has a member with a role and a session, and a machine', async () => {
  const address = 'member@example.com';
  const server = await start(undefined, undefined, '[tokens]\nuser_management = true\n');
  try {
    const sender = client(server);
    const { organization, user } = await invitedMember(server, sender, address);
    const first = await tokens(server, sender, address);
    const { sub, oid, sid, roles, permissions } = claims(first.accessToken);
    assert.deepEqual({ sub, oid, roles, permissions }, { sub: user.id, oid: organization.id, roles: ['reader'], permissions: ['read:documents'] });

    await sender.user.updateMembership(organization.id, user.id, { roles: ['admin'] });
    const second = await sender.refreshAccessToken(first.refreshToken);
    assert.deepEqual(claims(second.accessToken).roles, ['admin']);

    const { sessions } = await sender.session.getUserSessions(user.id);
    assert.ok(sessions.some(({ sessionId, status }) => sessionId === sid && status === 'active'), `${sid}`);
    assert.equal((await sender.session.revokeSession(sid)).revokedSession.status, 'revoked');
    await assert.rejects(sender.refreshAccessToken(second.refreshToken), /Failed to refresh token/);

    await machineClient(sender, organization);
    await sender.user.deleteUser(user.id);
    await sender.organization.deleteOrganization(organization.id);
    await sender.role.deleteRole('reader');
    await sender.permission.deletePermission('read:documents');
    const gone = [() => sender.user.getUser(user.id), () => sender.organization.getOrganization(organization.id),
      () => sender.role.getRole('reader'), () => sender.permission.getPermission('read:documents')];
    for (const call of gone) await assert.rejects(call(), sdk.ScalekitNotFoundException);
  } finally {
    await server.stop();
  }
});

scenario('restart', 'a restart between two calls is not noticed', async () => {
  const data = mkdtempSync(join(tmpdir(), 'vestibule-data-'));
  let server;
  try {
    // The authority that this process trusts, in a data folder of this test's own.
    cpSync(join(authority, 'tls'), join(data, 'tls'), { recursive: true });
    server = await start(['--data-dir', data]);
    const sender = client(server);
    const { accessToken } = await tokens(server, sender, 'restart@example.com');
    const { id, mail } = await sent(server, sender, 'restarted@example.com');
    const { port } = server;
    await server.stop();
    server = await start(['--data-dir', data], port);
    assert.equal(await sender.validateAccessToken(accessToken), true);
    assert.equal(await client(server).validateAccessToken(accessToken), true);
    assert.equal((await sender.passwordless.verifyPasswordlessEmail({ code: mail.code }, id)).email, 'restarted@example.com');
  } finally {
    await server?.stop();
    rmSync(data, { recursive: true, force: true });
  }
});

/** An endpoint for webhooks: its address, and the first request that it is sent. */
async function endpoint() {
  let resolve;
  const received = new Promise((first) => { resolve = first; });
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    response.writeHead(201).end();
    resolve({ headers: request.headers, body });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${server.address().port}/webhooks`, received, close: () => server.close() };
}

test(`${version} over ${transport}: a webhook is verified, and refused when a byte or the time is off`, async () => {
  const { url, received, close } = await endpoint();
  const server = await start();
  try {
    const post = async (path, body, method = 'POST') => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${server.url}/_emulator/v1${path}`, { method, headers, body: JSON.stringify(body) });
      assert.ok(response.ok, `${path}: ${response.status}`);
      return response.json();
    };
    const { secret } = await post('/webhooks', { url });
    // The environment's clock is nobody's business but the environment's.
    await post('/clock', { advance_s: 86_400 }, 'PUT');
    await post('/api/organizations', { display_name: 'Acme' });
    const { headers, body } = await received;
    const verifier = client(server);
    assert.equal(verifier.verifyWebhookPayload(secret, headers, body), true);
    const off = String(Number(headers['webhook-timestamp']) - 301);
    assert.throws(() => verifier.verifyWebhookPayload(secret, headers, body.replace('Acme', 'Acmf')));
    assert.throws(() => verifier.verifyWebhookPayload(secret, { ...headers, 'webhook-timestamp': off }, body));
    assert.throws(() => verifier.verifyWebhookPayload(secret, { ...headers, 'webhook-id': 'evt_1' }, body));
  } finally {
    close();
    await server.stop();
  }
});

test(`${version} over ${transport}: a call of an interceptor is verified, and refused when a byte or the time is off`, async () => {
  const { url, received, close } = await endpoint();
  const server = await start();
  try {
    const post = async (path, body, method = 'POST') => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${server.url}/_emulator/v1${path}`, { method, headers, body: JSON.stringify(body) });
      assert.ok(response.ok, `${path}: ${response.status}`);
      return response.json();
    };
    const { id, secret } = await post('/interceptors', { url, trigger_point: 'PRE_USER_INVITATION' });
    await post('/clock', { advance_s: 86_400 }, 'PUT');
    await post(`/interceptors/${id}/test`, {});
    const { headers, body } = await received;
    const verifier = client(server);
    assert.equal(verifier.verifyInterceptorPayload(secret, headers, body), true);
    const off = String(Number(headers['interceptor-timestamp']) - 301);
    assert.throws(() => verifier.verifyInterceptorPayload(secret, headers, body.replace('Sample', 'Simple')));
    assert.throws(() => verifier.verifyInterceptorPayload(secret, { ...headers, 'interceptor-timestamp': off }, body));
    assert.throws(() => verifier.verifyInterceptorPayload(secret, { ...headers, 'interceptor-id': 'icpc_1' }, body));
  } finally {
    close();
    await server.stop();
  }
});
