// Scalekit's Node SDK, unmodified, on plain http.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ScalekitClient } from '@scalekit-sdk/node';
import { freshPage, startBrowser } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

let browser;
let application;
let vestibule;
let scalekit;

before(async () => {
  vestibule = await startVestibule();
  application = await startApplication();
  browser = await startBrowser();
  scalekit = new ScalekitClient(vestibule.url, vestibule.clientId, vestibule.clientSecret);
});
after(async () => {
  await browser?.close();
  await application?.stop();
  await vestibule?.stop();
});

async function signInWithBrowser(options) {
  const { context, page } = await freshPage(browser);
  await page.goto(scalekit.getAuthorizationUrl(application.callback, options));
  await page.locator('input[name="code"]').fill((await vestibule.mailTo(options.loginHint)).code);
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  const { searchParams } = new URL(page.url());
  await context.close();
  return searchParams;
}

test('getAuthorizationUrl, a browser, authenticateWithCode, validateAccessToken', async () => {
  const answer = await signInWithBrowser({ loginHint: 'jane@example.com', state: 'xyz' });
  assert.equal(answer.get('state'), 'xyz');
  const result = await scalekit.authenticateWithCode(answer.get('code'), application.callback);
  assert.equal(result.user.email, 'jane@example.com');
  assert.equal(result.expiresIn, 899);
  assert.equal(await scalekit.validateAccessToken(result.accessToken), true);
  assert.equal(await scalekit.validateAccessToken(`${result.accessToken}x`), false);
});

test('offline_access gives a refresh token that the SDK rotates', async () => {
  const answer = await signInWithBrowser({ loginHint: 'bob@example.com', scopes: ['openid', 'email', 'offline_access'] });
  const first = await scalekit.authenticateWithCode(answer.get('code'), application.callback);
  const second = await scalekit.refreshAccessToken(first.refreshToken);
  assert.notEqual(second.refreshToken, first.refreshToken);
  assert.equal(await scalekit.validateAccessToken(second.accessToken), true);
});

test('a wrong code is refused the way the SDK expects', async () => {
  await assert.rejects(scalekit.authenticateWithCode('invented', application.callback), (error) => {
    assert.equal(error.response.status, 400);
    assert.equal(error.response.data.error, 'invalid_grant');
    return true;
  });
});

test('the logout address works, with and without its options', async () => {
  for (const url of [scalekit.getLogoutUrl(), scalekit.getLogoutUrl({ postLogoutRedirectUri: application.callback, state: 's' })]) {
    const response = await fetch(url, { redirect: 'manual' });
    assert.ok([200, 303].includes(response.status), `${url}: ${response.status}`);
  }
});
