// `vestibule mcp`, as a coding agent uses it: by the public client library of the Model Context Protocol.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { tmpdir } from 'node:os';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { binary, startVestibule } from './support/server.mjs';

let vestibule;
let agent;

async function connect(url) {
  const client = new Client({ name: 'agent', version: '1' });
  const env = { PATH: process.env.PATH };
  await client.connect(new StdioClientTransport({ command: binary, args: ['mcp', '--url', url], env, cwd: tmpdir() }));
  return client;
}

/** What a tool says; a refusal is an error. */
async function call(name, args = {}) {
  const { content, isError } = await agent.callTool({ name, arguments: args });
  const text = content.map((part) => part.text).join('\n');
  if (isError) throw new Error(text);
  return text;
}

const json = async (name, args) => JSON.parse(await call(name, args));

before(async () => {
  vestibule = await startVestibule();
  agent = await connect(vestibule.url);
});
after(async () => {
  await agent?.close();
  await vestibule?.stop();
});

test('an agent learns what it can ask for', async () => {
  assert.equal(agent.getServerVersion().name, 'vestibule');
  assert.match(agent.getInstructions(), /stand-in for Scalekit/);
  const { tools } = await agent.listTools();
  const names = tools.map((tool) => tool.name);
  for (const name of ['credentials', 'start_sign_in', 'wait_for_code', 'enter_code', 'explain_sign_in', 'clock', 'add_fault',
    'clear_faults', 'reset', 'list_users', 'add_user', 'mint_token']) assert.ok(names.includes(name), name);
  for (const tool of tools) assert.ok(tool.description?.length > 20, `${tool.name} says what it does`);
  assert.match(await call('credentials'), new RegExp(`SCALEKIT_ENVIRONMENT_URL=${vestibule.url}\n`));
});

test('an agent signs a user in, twice, and never reads an earlier code', async () => {
  const codes = new Set();
  for (let round = 0; round < 2; round += 1) {
    const begun = await json('start_sign_in', { email: 'ada@example.com', redirect_uri: 'http://localhost:4000/cb' });
    const mail = await json('wait_for_code', { email: 'ada@example.com' });
    assert.equal(mail.auth_request_id, begun.auth_request_id);
    codes.add(mail.code);
    const { callback_url: callback } = await json('enter_code', { auth_request_id: begun.auth_request_id, code: mail.code });
    assert.match(callback, /^http:\/\/localhost:4000\/cb\?code=/);
  }
  assert.equal(codes.size, 2);
  await assert.rejects(call('wait_for_code', { email: 'ada@example.com', wait_s: 0 }), /no email/);
  assert.match(await call('list_users', { query: 'ada' }), /ada@example\.com/);
});

test('a wrong code is explained, and so is a sign-in of a browser', async () => {
  const begun = await json('start_sign_in', { email: 'bob@example.com' });
  await json('wait_for_code', { auth_request_id: begun.auth_request_id });
  await assert.rejects(call('enter_code', { auth_request_id: begun.auth_request_id, code: '000000' }), /Wrong code/);
  assert.match(await call('explain_sign_in', { email: 'bob@example.com' }), /bob@example\.com .*\n[^]*Wrong code/);
  await assert.rejects(call('start_sign_in', { email: 'bob@example.com', redirect_uri: 'https://elsewhere.example/' }), /redirect/);
});

test('an agent controls time, faults, users and tokens', async () => {
  assert.equal((await json('clock', { advance_s: 600 })).ahead_s, 600);
  assert.equal((await json('clock')).ahead_s, 600);
  assert.equal((await json('clock', { reset: true })).ahead_s, 0);

  await json('add_fault', { rule: { match: { path: '/oauth/token' }, count: 1, effect: { kind: 'status', status: 503 } } });
  assert.equal((await fetch(`${vestibule.url}/oauth/token`, { method: 'POST' })).status, 503);
  await call('clear_faults');
  await assert.rejects(call('add_fault', { rule: { effect: { kind: 'fire' } } }), /effect|kind|fire/);

  await json('add_user', { email: 'eve@example.com', name: 'Eve' });
  const tokens = await json('mint_token', { user: 'eve@example.com', claims: { plan: 'pro' } });
  assert.equal(JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url')).plan, 'pro');
  await call('reset');
  assert.doesNotMatch(await call('list_users'), /eve@example\.com/);
});

test('an agent is told where no server runs', async () => {
  const nobody = await connect('http://localhost:1');
  const { content, isError } = await nobody.callTool({ name: 'credentials', arguments: {} });
  assert.ok(isError && /does not respond/.test(content[0].text), content[0].text);
  await nobody.close();
});
