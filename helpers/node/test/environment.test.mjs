import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { VestibuleError, attach, startServer } from '@vestibule-idp/testing';
import { Browser, authorizationUrl, claims, exchange } from './support/browser.mjs';

const ADA = 'ada@example.com';

describe('an environment', { concurrency: true }, () => {
  let server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  it('signs in by the code of the mail', async () => {
    const environment = await server.newEnvironment();
    const browser = await new Browser().open(authorizationUrl(environment, ADA));
    await browser.submit('/code', { code: await environment.waitForCode(ADA) });

    const { code, state } = browser.callback;
    assert.equal(state, 'state-1');
    const response = await exchange(environment, code);
    assert.equal(response.status, 200);
    const token = claims((await response.json()).id_token);
    assert.equal(token.iss, environment.url);
    assert.equal(token.email, ADA);
  });

  it('signs in by the link of the mail', async () => {
    const environment = await server.newEnvironment();
    const browser = await new Browser().open(authorizationUrl(environment, ADA));
    await browser.open(await environment.waitForLink(ADA));
    const [, link_token] = /name="link_token" value="([^"]+)"/.exec(browser.html);
    await browser.submit('/login/link', { link_token });
    assert.equal((await exchange(environment, browser.callback.code)).status, 200);
  });

  it('gives no code of a sign-in that is over, and says what happened', async () => {
    const environment = await server.newEnvironment();
    const browser = await new Browser().open(authorizationUrl(environment, ADA));
    await browser.submit('/code', { code: await environment.waitForCode(ADA) });
    assert.ok((await environment.waitForMessage(ADA)).code);
    while ((await environment.flows(ADA))[0]?.status !== 'SUCCESS');
    await assert.rejects(environment.waitForCode(ADA, { timeoutMs: 0 }), (error) => {
      assert.match(error.message, /SUCCESS/);
      assert.match(error.timeline[1], /^\+0\.0 s authorize ok: /);
      return true;
    });
  });

  it('gives an application its variables', async () => {
    const environment = await server.newEnvironment();
    assert.deepEqual(environment.env(), {
      SCALEKIT_ENVIRONMENT_URL: environment.url,
      SCALEKIT_ENV_URL: environment.url,
      SCALEKIT_CLIENT_ID: environment.clientId,
      SCALEKIT_CLIENT_SECRET: environment.clientSecret,
    });
  });

  it('signs in at once where the client allows it', async () => {
    const environment = await server.newEnvironment();
    const { callback_url, code, state } = await environment.signIn(ADA, new URL(authorizationUrl(environment)));
    assert.equal(new URL(callback_url).searchParams.get('code'), code);
    assert.equal(state, 'state-1');
    assert.equal((await exchange(environment, code)).status, 200);
  });

  it('does not sign in at once where the client does not allow it', async () => {
    const environment = await server.newEnvironment({ instant_sign_in: false });
    await assert.rejects(environment.signIn(ADA, authorizationUrl(environment)), { status: 403 });
  });

  it('waits for the code after a resend, not for the one before', async () => {
    const environment = await server.newEnvironment();
    const browser = await new Browser().open(authorizationUrl(environment, ADA));
    const first = await environment.waitForMessage(ADA);

    const second = environment.waitForMessage(ADA, { since: first.id });
    await browser.submit('/resend', {});
    const { id, code } = await second;
    assert.notEqual(id, first.id);
    assert.equal(await environment.waitForCode(ADA, { since: first.id }), code);

    await browser.submit('/code', { code });
    assert.ok(browser.callback.code);
  });

  it('gives the code of the sign-in that follows, though nobody waits for the submit', async () => {
    const environment = await server.newEnvironment({ settings: { limits: { mails_per_address: 0 } } });
    const inbox = await environment.inbox(ADA);
    for (let round = 0; round < 4; round += 1) {
      const submitted = new Browser().open(authorizationUrl(environment, ADA));
      const code = await inbox.nextCode();
      const browser = await submitted;
      await browser.submit('/code', { code });
      assert.ok(browser.callback.code, `round ${round}`);
    }
    await assert.rejects(inbox.nextMessage({ timeoutMs: 0 }), { status: 404 });

    // Emails from before it was opened are none of its.
    const later = await environment.inbox(ADA);
    const submitted = new Browser().open(authorizationUrl(environment, ADA));
    const link = await later.nextLink();
    await submitted;
    assert.equal(link, await environment.waitForLink(ADA));
  });

  it('waits no longer than it is told', async () => {
    const environment = await server.newEnvironment();
    await new Browser().open(authorizationUrl(environment, ADA));
    const { id } = await environment.waitForMessage(ADA, { timeoutMs: 0 });
    await assert.rejects(environment.waitForMessage(ADA, { since: id, timeoutMs: 50 }), {
      name: 'VestibuleError',
      status: 404,
      detail: `no email to ${ADA} arrived within 50 ms after ${id}`,
    });
    await assert.rejects(environment.waitForCode('bob@example.com', { timeoutMs: 0 }), { status: 404 });
  });

  it('expects the requests that an application makes', async () => {
    const environment = await server.newEnvironment({ instant_sign_in: true });
    const { code } = await environment.signIn(ADA, authorizationUrl(environment));
    const { cursor } = await environment.requests();
    // The wait begins before the request is made.
    const expected = environment.expectRequest('/oauth/token', { since: cursor, client_id: environment.clientId });
    await exchange(environment, code);
    const request = await expected;
    assert.equal(request.status, 200);
    assert.deepEqual(request.parameters, {
      grant_type: 'authorization_code',
      code: '[redacted]',
      redirect_uri: 'http://localhost:9/callback',
      client_id: environment.clientId,
      client_secret: '[redacted]',
    });
    assert.deepEqual(await environment.expectRequest('/oauth/*', { timeoutMs: 0 }), request);

    await assert.rejects(environment.expectRequest('/oauth/token', { since: request.id, timeoutMs: 50 }), {
      name: 'VestibuleError',
      status: 404,
      detail: 'no request to /oauth/token came within 50 ms; the last ones: POST /oauth/token 200',
    });
  });

  it('does not wait in an environment that is gone', async () => {
    const environment = await server.newEnvironment();
    await environment.delete();
    await assert.rejects(environment.waitForCode(ADA, { timeoutMs: 3_600_000 }), {
      status: 404,
      code: 'unknown_environment',
    });
  });

  it('waits for an event, whether or not there is a webhook', async () => {
    const environment = await server.newEnvironment();
    const make = (display_name) => environment.call('POST', '/api/organizations', { display_name });
    await make('Before');
    const since = await environment.eventCursor();
    const waiting = environment.waitForEvent('organization.created', { since });
    const { organization } = await make('After');
    const event = await waiting;
    assert.equal(event.data.id, organization.id);
    assert.equal((await environment.waitForEvent('organization.created')).id, event.id);
    await assert.rejects(environment.waitForEvent('organization.created', { since: event.id, timeoutMs: 50 }), {
      status: 404,
      detail: `no organization.created happened within 50 ms after ${event.id}`,
    });
    await assert.rejects(environment.waitForEvent('user.created', { timeoutMs: 0 }), { status: 400 });
  });

  it("says what Scalekit's API refuses", async () => {
    const environment = await server.newEnvironment();
    await assert.rejects(environment.call('POST', '/api/organizations', {}), (error) => {
      assert.deepEqual([error.status, error.code], [400, 'INVALID_ARGUMENT']);
      assert.equal(error.errors[0].field, 'organization.display_name');
      assert.ok(error.detail && error.errors[0].reason, error.message);
      return true;
    });
  });

  it('says that a mail carries no code or no link', async () => {
    const links = await server.newEnvironment({ settings: { passwordless: { type: 'LINK' } } });
    await new Browser().open(authorizationUrl(links, ADA));
    assert.ok(await links.waitForLink(ADA));
    await assert.rejects(links.waitForCode(ADA), { status: 0, title: 'No code' });

    const codes = await server.newEnvironment({ settings: { passwordless: { type: 'OTP' } } });
    await new Browser().open(authorizationUrl(codes, ADA));
    assert.ok(await codes.waitForCode(ADA));
    await assert.rejects(codes.waitForLink(ADA), { status: 0, title: 'No link' });
  });

  it('knows nothing of another', async () => {
    const [one, other] = await Promise.all([server.newEnvironment(), server.newEnvironment()]);
    assert.notEqual(one.url, other.url);
    assert.notEqual(one.clientId, other.clientId);

    const browser = await new Browser().open(authorizationUrl(one, ADA));
    const code = await one.waitForCode(ADA);
    await assert.rejects(other.waitForCode(ADA, { timeoutMs: 0 }), { status: 404 });
    await assert.rejects(server.waitForCode(ADA, { timeoutMs: 0 }), { status: 404 });

    await other.clock.advance(3600);
    assert.equal((await one.clock.get()).ahead_s, 0);

    await browser.submit('/code', { code });
    const wrong = await exchange({ ...one, url: other.url }, browser.callback.code);
    assert.equal(wrong.status, 401);
    assert.equal((await exchange(one, browser.callback.code)).status, 200);
  });

  it('lets codes expire by its clock', async () => {
    const environment = await server.newEnvironment();
    const browser = await new Browser().open(authorizationUrl(environment, ADA));
    const code = await environment.waitForCode(ADA);
    await environment.clock.advance(301);
    await browser.submit('/code', { code });
    assert.match(browser.html, /expired/);
  });

  it('sets, freezes, resumes and resets its clock', async () => {
    const environment = await server.newEnvironment({ clock: { frozen: true } });
    assert.equal((await environment.clock.get()).frozen, true);
    assert.equal((await environment.clock.resume()).frozen, false);

    const then = new Date('2031-02-03T04:05:06.000Z');
    await environment.clock.freeze();
    const set = await environment.clock.set(then);
    assert.deepEqual([new Date(set.now), set.frozen], [then, true]);
    assert.equal((await environment.clock.set('2031-02-03T05:05:06+01:00')).now, set.now);
    assert.equal(new Date((await environment.clock.advance(-6)).now).toISOString(), '2031-02-03T04:05:00.000Z');

    const real = await environment.clock.reset();
    assert.deepEqual([real.ahead_s, real.frozen], [0, false]);
    await assert.rejects(environment.clock.set('tomorrow'), ({ status, errors }) => {
      assert.equal(status, 400);
      assert.equal(errors[0].field, 'now');
      return true;
    });
  });

  it('goes back to its seed', async () => {
    const environment = await server.newEnvironment({ settings: { passwordless: { sign_up_allowed: false } } });
    assert.deepEqual(await environment.seed({ users: [{ email: ADA }] }), { users: 1, organizations: 0 });
    await environment.call('POST', '/users', { email: 'bob@example.com' });
    await environment.clock.advance(3600);
    await environment.settings.change({ passwordless: { code_length: 8 } });
    await new Browser().open(authorizationUrl(environment, ADA));
    assert.match(await environment.waitForCode(ADA), /^\d{8}$/);

    await environment.reset({ keep: ['clock'] });
    const { users } = await environment.call('GET', '/api/users');
    assert.deepEqual(
      users.map(({ email }) => email),
      [ADA],
    );
    assert.equal((await environment.settings.get()).passwordless.code_length, 6);
    assert.equal((await environment.clock.get()).ahead_s, 3600);
    await assert.rejects(environment.waitForCode(ADA, { timeoutMs: 0 }), { status: 404 });

    await environment.reset();
    assert.equal((await environment.clock.get()).ahead_s, 0);
  });

  it('breaks on purpose', async () => {
    const environment = await server.newEnvironment();
    const fault = await environment.faults.add({
      match: { path: '/keys' },
      count: 1,
      effect: { kind: 'status', status: 503 },
    });
    const keys = `${environment.url}/keys`;
    const broken = await fetch(keys);
    assert.deepEqual([broken.status, broken.headers.get('x-vestibule-fault')], [503, fault.id]);
    assert.equal((await fetch(keys)).status, 200);
    const [{ fired, matched }] = await environment.faults.list();
    assert.deepEqual([fired, matched], [1, 2]);

    await environment.faults.add({ effect: { kind: 'connection_reset' } });
    await assert.rejects(fetch(keys));
    await environment.faults.clear();
    assert.deepEqual(await environment.faults.list(), []);
    assert.equal((await fetch(keys)).status, 200);
  });

  it('tells what became of sign-ins', async () => {
    const environment = await server.newEnvironment({ instant_sign_in: true });
    await environment.signIn(ADA, authorizationUrl(environment));
    await environment.signIn('bob@example.com', authorizationUrl(environment));
    // Steps are written in batches.
    let flows = [];
    for (const deadline = Date.now() + 10_000; flows[0]?.status !== 'SUCCESS' && Date.now() < deadline;) {
      flows = await environment.flows(ADA);
    }
    assert.deepEqual(
      flows.map(({ email, status }) => [email, status]),
      [[ADA, 'SUCCESS']],
    );
  });

  it('gives all sign-ins, however many pages they are', async () => {
    const environment = await server.newEnvironment();
    const count = 120;
    for (let i = 0; i < count; i += 1) await fetch(authorizationUrl(environment), { redirect: 'manual' });
    let flows = [];
    for (const deadline = Date.now() + 10_000; flows.length < count && Date.now() < deadline;) {
      flows = await environment.flows();
    }
    assert.equal(new Set(flows.map(({ id }) => id)).size, count);
  });

  it('says which fields are wrong', async () => {
    await assert.rejects(server.newEnvironment({ settings: { passwordless: { validity_s: 1 } } }), (error) => {
      assert.ok(error instanceof VestibuleError);
      assert.equal(error.status, 400);
      assert.ok(error.title);
      assert.ok(error.detail);
      assert.match(error.message, /validity_s/);
      assert.match(error.errors[0].field, /passwordless\.validity_s$/);
      assert.ok(error.errors[0].reason);
      return true;
    });
    await server.newEnvironment({ name: 'taken' });
    await assert.rejects(server.newEnvironment({ name: 'taken' }), { status: 409 });
  });

  it('changes settings', async () => {
    const environment = await server.newEnvironment();
    const changed = await environment.settings.change({ passwordless: { type: 'OTP' } });
    assert.equal(changed.passwordless.type, 'OTP');
    assert.equal((await server.settings.get()).passwordless.type, 'LINK_OTP');
    await assert.rejects(environment.settings.change({ passwordless: { type: 'PIGEON' } }), { status: 400 });
    assert.equal((await environment.settings.change({ passwordless: null })).passwordless.type, 'LINK_OTP');
  });

  it('is gone when it is disposed of', async () => {
    const environment = await server.newEnvironment();
    await environment[Symbol.asyncDispose]();
    await assert.rejects(environment.clock.get(), { status: 404, code: 'unknown_environment' });
    await assert.rejects(environment.delete(), { status: 404 });
    // Disposing of it after the test deleted it is no mistake.
    await environment[Symbol.asyncDispose]();
  });

  it('is the default one as a server, which is not deleted', async () => {
    assert.equal(server.name, null);
    await new Browser().open(authorizationUrl(server, 'default@example.com'));
    assert.ok(await server.waitForCode('default@example.com'));
    await assert.rejects(server.delete(), { name: 'VestibuleError', status: 0 });
  });

  it('can be made by a server that was attached to, which goes on', async () => {
    const attached = await attach(`${server.url}/`);
    assert.deepEqual(
      [attached.url, attached.clientId, attached.clientSecret],
      [server.url, server.clientId, server.clientSecret],
    );
    const environment = await attached.newEnvironment({ name: 'attached' });
    assert.equal(environment.name, 'attached');
    assert.equal(environment.url, `${server.url}/e/attached`);
    await attached.stop();
    assert.equal((await server.clock.get()).ahead_s, 0);
  });
});
