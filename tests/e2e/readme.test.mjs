// The JavaScript samples of the README, as they stand there.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { signInOverHttp, startVestibule } from './support/server.mjs';

const sample = new URL('./output-readme-sample.mjs', import.meta.url);
let vestibule;

before(async () => {
  vestibule = await startVestibule();
  process.env.SCALEKIT_ENVIRONMENT_URL = vestibule.url;
  process.env.SCALEKIT_CLIENT_ID = vestibule.clientId;
  process.env.SCALEKIT_CLIENT_SECRET = vestibule.clientSecret;
});
after(async () => {
  rmSync(sample, { force: true });
  await vestibule?.stop();
});

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  let resolve;
  const promise = new Promise((first) => { resolve = first; });
  return { promise, resolve };
}

test('the samples of the README sign a person in and read the code', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const blocks = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1]);
  assert.equal(blocks.length, 5);
  writeFileSync(sample, blocks.join('\n'));
  const {
    signInUrl, whoIsIt, openInbox, askForCode, prove, newEnvironment, tenMinutesLater, breakTokens, startClean, addWebhook,
    readWebhook, waitForEvent,
  } = await import(sample.href);
  for (let round = 0; round < 4; round += 1) {
    const inbox = await openInbox('jane@example.com');
    const back = await signInOverHttp({ ...vestibule, mailTo: inbox.next }, signInUrl(), 'jane@example.com');
    assert.equal(back.searchParams.get('state'), 'xyz');
    assert.equal((await whoIsIt(back.searchParams.get('code'))).user.email, 'jane@example.com');
    await vestibule.moveClock(61);
  }

  // Nobody waits for the second send, and its code is the one that is read all the same.
  await askForCode('bob@example.com');
  const inbox = await openInbox('bob@example.com');
  const asked = askForCode('bob@example.com');
  const { code } = await inbox.next();
  const { authRequestId } = await asked;
  assert.equal((await prove(code, authRequestId)).email, 'bob@example.com');

  const environment = await newEnvironment();
  const discovery = await (await fetch(`${environment.path_url}/.well-known/openid-configuration`)).json();
  assert.equal(discovery.issuer, environment.path_url);
  const lateInbox = await openInbox('late@example.com');
  const late = await askForCode('late@example.com');
  const lateCode = (await lateInbox.next()).code;
  await tenMinutesLater();
  await assert.rejects(prove(lateCode, late.authRequestId), /expired/);

  const { promise: heard, resolve: hear } = withResolvers();
  const endpoint = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    response.end();
    hear({ headers: request.headers, body });
  });
  await new Promise((listening) => endpoint.listen(0, '127.0.0.1', listening));
  const { secret } = await addWebhook(`http://127.0.0.1:${endpoint.address().port}/`);
  const control = `${process.env.SCALEKIT_ENVIRONMENT_URL}/_emulator/v1`;
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ display_name: 'Acme' });
  assert.equal((await fetch(`${control}/api/organizations`, { method: 'POST', headers, body })).status, 201);
  const webhook = await heard;
  endpoint.close();
  const event = readWebhook(secret, webhook.headers, webhook.body);
  assert.equal(event.data.display_name, 'Acme');
  assert.deepEqual(await waitForEvent('organization.created'), event);
  assert.throws(() => readWebhook(secret, webhook.headers, webhook.body.replace('Acme', 'Acmf')));

  await breakTokens();
  const broken = await fetch(`${process.env.SCALEKIT_ENVIRONMENT_URL}/oauth/token`, { method: 'POST' });
  assert.equal(broken.status, 503);
  await startClean();
  assert.equal((await (await fetch(`${process.env.SCALEKIT_ENVIRONMENT_URL}/_emulator/v1/messages`)).json()).messages.length, 0);
});
