import assert from 'node:assert/strict';
import { it } from 'node:test';
import config from '../examples/cypress/cypress.config.js';
import { Browser } from './support/browser.mjs';

it('cy.vestibuleSignIn signs in by its calls of the server', async (t) => {
  const events = {};
  const { baseUrl } = await config.e2e.setupNodeEvents((name, handler) => {
    events[name] = handler;
  }, {});
  t.after(() => events['after:run']());

  // Cypress itself cannot be installed everywhere: these do what its commands are documented to do.
  const done = [];
  const chain = (promise) => {
    done.push(promise);
    return { then: (next) => chain(promise.then(next)) };
  };
  globalThis.Cypress = { Commands: { add: (name, command) => (cy[name] = command) } };
  globalThis.cy = {
    request: ({ url, followRedirect }) =>
      chain(
        fetch(new URL(url, baseUrl), { redirect: followRedirect ? 'follow' : 'manual' }).then(({ headers }) => ({
          headers: Object.fromEntries(headers),
        })),
      ),
    task: (name, input) => chain(events.task[name](input)),
    visit: (url) => chain(fetch(url).then((response) => response.text())),
  };
  await import('@vestibule-idp/testing/cypress-commands');
  cy.vestibuleSignIn('ada@example.com');
  let pages = [];
  while (pages.length < done.length) pages = await Promise.all(done);
  assert.match(pages.at(-1), /Welcome.*ada@example\.com/);
});

it('the tasks of the Cypress example do what the test needs', async (t) => {
  const events = {};
  const { baseUrl } = await config.e2e.setupNodeEvents((name, handler) => {
    events[name] = handler;
  }, {});
  t.after(() => events['after:run']());
  const { task } = events;

  const browser = await new Browser().open(`${baseUrl}/login`);
  const since = await task['vestibule:cursor']('ada@example.com');
  await browser.submit('/email', { email: 'ada@example.com' });
  const code = await task['vestibule:code']({ address: 'ada@example.com', since });
  assert.match(await task['vestibule:link']({ address: 'ada@example.com' }), /^http/);
  const { id } = await task['vestibule:message']({ address: 'ada@example.com' });

  await browser.submit('/resend', {});
  const next = await task['vestibule:code']({ address: 'ada@example.com', since: id });
  assert.notEqual(next, code);
  await browser.submit('/code', { code: next });
  assert.match(browser.html, /Welcome.*ada@example\.com/);

  assert.equal((await task['vestibule:advance'](60)).ahead_s, 60);
  assert.equal((await task['vestibule:settings']({ passwordless: { type: 'OTP' } })).passwordless.type, 'OTP');
  assert.equal(await task['vestibule:reset'](), null);
});
