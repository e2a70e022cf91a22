// npm oidc-client-ts in a real browser: a single page application that talks to the server across origins.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { report, startVestibule } from './support.mjs';

const library = readFileSync(new URL('node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url));
let vestibule;
let server;
let home;
let browser;

/** The application: everything it does is the library's. */
const page = (script) => `<!doctype html><html lang="en"><title>Application</title><link rel="icon" href="data:,">
<script src="/oidc-client-ts.min.js"></script><script>
const authority = ${JSON.stringify(vestibule.url)};
const manager = new oidc.UserManager({
  authority, client_id: 'single-page', redirect_uri: location.origin + '/callback',
  silent_redirect_uri: location.origin + '/silent', post_logout_redirect_uri: location.origin + '/bye',
  scope: new URLSearchParams(location.search).get('scope') ?? 'openid profile email', loadUserInfo: true, automaticSilentRenew: false,
});
${script}</script><h1>Application</h1>`;

before(async () => {
  vestibule = await startVestibule('[[clients]]\nclient_id = "single-page"\ntype = "spa"\n');
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/oidc-client-ts.min.js') return response.setHeader('content-type', 'text/javascript').end(library);
    const scripts = {
      '/callback': 'manager.signinRedirectCallback().then(() => { location.href = "/"; });',
      '/silent': 'manager.signinSilentCallback();',
    };
    return response.setHeader('content-type', 'text/html').end(page(scripts[pathname] ?? ''));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  home = `http://localhost:${server.address().port}`;
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
});
after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  await vestibule?.stop();
});

async function signIn(tab, address, scope = '') {
  await tab.goto(`${home}/${scope}`);
  await tab.evaluate(() => { manager.signinRedirect(); });
  await tab.locator('input[name="email"]').fill(address);
  await tab.getByRole('button', { name: 'Continue', exact: true }).click();
  await tab.locator('input[name="code"]').fill((await vestibule.mailTo(address)).code);
  await tab.getByRole('button', { name: 'Continue', exact: true }).click();
  await tab.waitForURL(`${home}/`);
  return tab.evaluate(() => manager.getUser());
}

test('oidc-client-ts signs in, renews in a hidden frame and by refresh token, and signs out', async () => {
  const tab = await (await browser.newContext()).newPage();
  const user = await signIn(tab, 'jane@example.com');
  assert.equal(user.profile.email, 'jane@example.com');
  assert.equal(user.refresh_token, undefined);
  // Without a refresh token the renewal is an iframe with prompt=none.
  const renewed = await tab.evaluate(() => manager.signinSilent());
  assert.equal(renewed.profile.sub, user.profile.sub);
  assert.notEqual(renewed.access_token, user.access_token);
  await tab.evaluate(() => { manager.signoutRedirect(); });
  await tab.waitForURL(`${home}/bye`);
  // The session is over: nothing renews silently any more.
  const error = await tab.evaluate(() => manager.signinSilent().then(() => 'renewed', (failure) => failure.error));
  assert.equal(error, 'login_required');

  const offline = await (await browser.newContext()).newPage();
  const other = await signIn(offline, 'ada@example.com', '?scope=openid+email+offline_access');
  const again = await offline.evaluate(() => manager.signinSilent());
  assert.ok(other.refresh_token && again.refresh_token && again.refresh_token !== other.refresh_token);
  report('oidc-client-ts', 'JavaScript in a browser', ['discovery', 'PKCE as a public client', 'CORS', 'UserInfo', 'silent renewal in a frame', 'refresh', 'logout']);
});
