// docs/CONTROL_API.md: every call of the control API, from its OpenAPI document, with an example that is made here. The
// document has the same examples, from src/emulator/examples.json.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CONTROL, documentExamples, referenceMarkdown } from './support/reference.mjs';
import { startVestibule } from './support/server.mjs';

const document = fileURLToPath(new URL('../../docs/CONTROL_API.md', import.meta.url));
const exampleFile = fileURLToPath(new URL('../../src/emulator/examples.json', import.meta.url));
const begin = '<!-- generated: control reference -->\n';
const end = '<!-- end -->\n';

let vestibule;
let endpoint;
let scenarios;

before(async () => {
  scenarios = mkdtempSync(join(tmpdir(), 'vestibule-scenarios-'));
  mkdirSync(scenarios, { recursive: true });
  writeFileSync(join(scenarios, 'two-organizations.toml'), '[[seed.organizations]]\ndisplay_name = "Acme"\n');
  vestibule = await startVestibule(`
    deterministic_seed = "the examples of the documentation"
    instant_sign_in = true
    [tokens]
    user_management = true
    [control]
    scenarios = ${JSON.stringify(scenarios)}
  `);
  endpoint = createServer((request, response) => response.end(request.url === '/interceptors' ? '{"decision":"ALLOW"}' : 'ok'));
  await new Promise((listening) => { endpoint.listen(0, '127.0.0.1', listening); });
});
after(async () => {
  endpoint?.close();
  endpoint?.closeAllConnections();
  await vestibule?.stop();
  if (scenarios) rmSync(scenarios, { recursive: true, force: true });
});

/** The calls in an order in which each finds what it is about. `call(operation, { path, query, body })` keeps them. */
async function makeExamples(call, url) {
  await call('PUT /clock', { body: { now: '2030-01-01T00:00:00Z', frozen: true } });
  await call('GET /clock');
  await call('GET /environment');

  await call('POST /clients', {
    body: { client_id: 'skc_docs', name: 'Docs', redirect_uris: ['https://docs.example.com/callback'] },
  });
  await call('PATCH /clients/{client_id}', { path: { client_id: 'skc_docs' }, body: { accent_color: '#3f4a8a' } });

  const receiver = `http://127.0.0.1:${endpoint.address().port}`;
  const since = (await call('GET /events', { query: { type: 'organization.created', page_size: 1 } })).cursor;
  const webhook = await call('POST /webhooks', {
    body: { url: `${receiver}/webhooks`, events: ['organization.created'] },
  });
  const hook = { path: { id: webhook.id } };
  const acme = await createOrganization(url, { display_name: 'Acme', external_id: 'acme' });
  await call('GET /events', { query: { type: 'organization.created', since, wait_ms: 10000 } });
  await call('GET /webhooks');
  await call('GET /webhooks/{id}', hook);
  await call('PATCH /webhooks/{id}', { ...hook, body: { events: ['organization.created', 'user.signup'] } });
  await call('POST /webhooks/{id}/test', { ...hook, body: { type: 'organization.created' } });
  await delivered(url, webhook.id);
  await call('GET /webhooks/{id}/deliveries', { ...hook, query: { page_size: 1 } });
  await call('POST /webhooks/{id}/replay', { ...hook, body: { status: 'FAILED' } });
  await call('POST /webhooks/{id}/rotate-secret', { ...hook, body: { overlap_s: 3600 } });
  await call('DELETE /webhooks/{id}', hook);

  const ada = await call('POST /users', {
    body: { email: 'ada.byron@example.com', name: 'Ada Lovelace', organizations: ['acme'] },
  });
  await call('PATCH /users/{id}', { path: { id: ada.id }, body: { email: 'ada@example.com' } });

  const interceptor = await call('POST /interceptors', {
    body: { display_name: 'Check the plan', trigger_point: 'PRE_SESSION_CREATION', url: `${receiver}/interceptors` },
  });
  const asked = { path: { id: interceptor.id } };
  await call('GET /interceptors');
  await call('GET /interceptors/{id}', asked);
  await call('PATCH /interceptors/{id}', { ...asked, body: { timeout_ms: 2000, failure_policy: 'FAIL_CLOSED' } });
  await call('POST /interceptors/{id}/test', { ...asked, body: {} });
  await call('POST /interceptors/{id}/rotate-secret', { ...asked, body: { overlap_s: 3600 } });

  const client_id = vestibule.clientId;
  const redirect_uri = 'http://localhost:3000/callback';
  await call('POST /sign-in', {
    body: { email: 'ada@example.com', parameters: { client_id, redirect_uri, response_type: 'code', scope: 'openid email', state: 'xyz' } },
  });
  await call('GET /interceptor-calls', { query: { interceptor_id: interceptor.id, page_size: 1 } });
  await call('DELETE /interceptors/{id}', asked);
  await call('GET /logout-notices');

  // An email of a sign-in, asked for as an application does.
  const hint = new URLSearchParams({ client_id, redirect_uri, response_type: 'code', scope: 'openid', login_hint: 'bob@example.com' });
  const { cursor } = await call('GET /requests', { query: { page_size: 1 } });
  await fetch(`${url}/oauth/authorize?${hint}`, { redirect: 'manual' });
  await call('GET /requests', { query: { path: '/oauth/authorize', since: cursor, wait_ms: 10000 } });
  const { id, auth_request_id } = await call('GET /messages/latest', { query: { to: 'bob@example.com' } });
  await call('GET /messages', { query: { to: 'bob@example.com', page_size: 1 } });
  await call('GET /messages/{id}', { path: { id } });
  await call('GET /messages/{id}/html', { path: { id }, as: 'text' });
  await call('GET /messages/{id}/raw', { path: { id }, as: 'text' });
  await call('GET /messages/events', { query: { to: 'bob@example.com' }, as: 'stream' });
  await call('GET /events/stream', { query: { type: 'organization.created' }, as: 'stream' });
  await call('DELETE /messages/{id}', { path: { id } });
  await call('DELETE /messages', { query: { to: 'bob@example.com' } });

  await logged(url, auth_request_id);
  await call('GET /flows', { query: { email: 'bob@example.com' } });
  await call('GET /flows/{id}', { path: { id: auth_request_id } });

  const tokens = await call('POST /tokens', { body: { user: 'ada@example.com', claims: { plan: 'pro' } } });
  await call('POST /tokens/decode', { body: { token: tokens.access_token } });
  await call('POST /token-template/preview', {
    body: { user: 'ada@example.com', claims: { plan: 'organization.metadata.plan ?? "free"' } },
  });

  const fault = await call('POST /faults', {
    body: { match: { method: 'POST', path: '/oauth/token' }, count: 1, effect: { kind: 'status', status: 503 } },
  });
  await call('GET /faults');
  await call('DELETE /faults/{id}', { path: { id: fault.id } });
  await call('DELETE /faults');

  await call('GET /settings');
  await call('PATCH /settings', { body: { passwordless: { type: 'OTP', code_length: 8 } } });
  await call('GET /redirects/check', { query: { url: 'https://app.example.com/callback' } });

  await deleteOrganization(url, acme.id);
  await call('POST /seed', {
    body: { organizations: [{ external_id: 'acme', display_name: 'Acme' }], users: [{ email: 'ada@example.com', organizations: ['acme'] }] },
  });
  await call('GET /scenarios');
  await call('POST /scenarios/{name}/load', { path: { name: 'two-organizations' } });
  const snapshot = await call('GET /snapshot');
  await call('PUT /snapshot', { body: snapshot, isShown: false });
  await call('POST /reset', { body: { keep: ['clock'] } });

  await call('POST /environments', {
    body: {
      name: 'checkout',
      instant_sign_in: true,
      settings: { passwordless: { type: 'OTP' } },
      seed: { users: [{ email: 'ada@example.com' }] },
    },
  });
  await call('GET /environments', { query: { q: 'check' } });
  await call('GET /environments/{name}', { path: { name: 'checkout' } });
  await call('DELETE /environments/{name}', { path: { name: 'checkout' } });
  await call('DELETE /environments');
  await call('DELETE /clock');
}

async function until(what, isDone) {
  for (const deadline = Date.now() + 10_000; ;) {
    const found = await what();
    if (isDone(found)) return;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(found)}`);
  }
}

const get = async (url) => (await fetch(url)).json();

/** Creates an organization by Scalekit's API, which has the calls about them. */
async function createOrganization(url, fields) {
  const response = await fetch(`${url}${CONTROL}/api/organizations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });
  const created = await response.json();
  assert.equal(response.status, 201, JSON.stringify(created));
  return created.organization;
}

/** Deletes an organization with the users who belong to no other. */
async function deleteOrganization(url, id) {
  const response = await fetch(`${url}${CONTROL}/api/organizations/${id}`, { method: 'DELETE' });
  assert.ok(response.ok, await response.text());
}

/** Until every delivery to a webhook succeeded. */
const delivered = (url, id) => until(
  () => get(`${url}${CONTROL}/webhooks/${id}/deliveries`),
  ({ deliveries }) => deliveries.length === 2 && deliveries.every(({ status }) => status === 'SUCCESS'),
);

/** Until the log of a sign-in has its last step. */
const logged = (url, id) => until(() => get(`${url}${CONTROL}/flows/${id}`), ({ status }) => status === 'PENDING');

/** Makes a call and keeps it as an example. */
function recorder(url, examples) {
  return async (operation, { path = {}, query = {}, body, as = 'json', isShown = true } = {}) => {
    const [method, template] = operation.split(' ');
    const concrete = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
    const search = Object.keys(query).length ? `?${new URLSearchParams(query)}` : '';
    const leave = new AbortController();
    const response = await fetch(`${url}${CONTROL}${concrete}${search}`, {
      method,
      signal: leave.signal,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    let result;
    if (as === 'stream') leave.abort();
    else if (response.status !== 204) result = as === 'text' ? await response.text() : await response.json();
    assert.ok(response.ok, `${operation}: ${response.status} ${JSON.stringify(result)}`);
    examples.set(operation, {
      url: `${CONTROL}${concrete}${search}`, path, query, body: isShown ? body : undefined, status: response.status, result, as,
    });
    return result;
  };
}

test('the reference has every call with an example that works', async () => {
  const api = await get(`${vestibule.url}${CONTROL}/openapi.json`);
  const examples = new Map();
  await makeExamples(recorder(vestibule.url, examples), vestibule.url);
  const wanted = referenceMarkdown(api, examples, vestibule.url);
  const wantedExamples = documentExamples(examples, vestibule.url);

  const text = readFileSync(document, 'utf8');
  const [before, rest] = text.split(begin);
  const [found, after] = rest.split(end);
  if (process.env.UPDATE_REFERENCE) {
    writeFileSync(document, `${before}${begin}${wanted}${end}${after}`);
    writeFileSync(exampleFile, wantedExamples);
    return;
  }
  const remedy = 'is stale: UPDATE_REFERENCE=1 ./scripts/test e2e writes it';
  assert.equal(found, wanted, `docs/CONTROL_API.md ${remedy}`);
  assert.equal(readFileSync(exampleFile, 'utf8'), wantedExamples, `src/emulator/examples.json ${remedy}`);
});
