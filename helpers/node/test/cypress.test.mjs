import assert from 'node:assert/strict';
import { it } from 'node:test';
import config from '../examples/cypress/cypress.config.js';
import { Browser } from './support/browser.mjs';

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
