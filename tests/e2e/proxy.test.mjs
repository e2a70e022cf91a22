// Behind nginx as it is by default, which sends the name of its upstream as Host, at a name that is not loopback and by
// plain http, where browsers send no Sec-Fetch-Site. And at a name that somebody else pointed here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { startBrowser } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

const NAME = 'auth.dev.test';
const FOREIGN = 'evil.example';

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

let application;
let chromium;
let nginx;
let vestibule;
let publicUrl;
let upstream;

/** nginx with one location; its log says what the browser sent. */
async function startNginx(port, upstreamPort) {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-nginx-'));
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  writeFileSync(join(folder, 'nginx.conf'), `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr;
    events {}
    http {
      ${paths.join(' ')}
      log_format sent '$request_method $uri site=$http_sec_fetch_site origin=$http_origin';
      access_log ${folder}/access.log sent;
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstreamPort}; } }
    }`);
  const child = spawn('/usr/sbin/nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk) => { log += chunk; });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const answers = () => new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); }).on('error', () => resolve(false));
  });
  for (const deadline = Date.now() + 10_000; !(await answers());) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error(`nginx did not start: ${log}`);
    await pause(20);
  }
  return {
    posts: () => readFileSync(join(folder, 'access.log'), 'utf8').split('\n').filter((line) => line.startsWith('POST')),
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

before(async () => {
  const [proxyPort, upstreamPort] = [await freePort(), await freePort()];
  publicUrl = `http://${NAME}:${proxyPort}`;
  upstream = `http://127.0.0.1:${upstreamPort}`;
  vestibule = await startVestibule(`public_urls = ["${publicUrl}"]\n`, { port: upstreamPort });
  nginx = await startNginx(proxyPort, upstreamPort);
  application = await startApplication();
  chromium = await startBrowser([`--host-resolver-rules=MAP ${NAME} 127.0.0.1, MAP ${FOREIGN} 127.0.0.1`]);
});
after(async () => {
  await chromium?.close();
  await application?.stop();
  await nginx?.stop();
  await vestibule?.stop();
});

async function codeFor(address) {
  const response = await fetch(`${upstream}/_emulator/v1/messages/latest?to=${encodeURIComponent(address)}`);
  assert.equal(response.status, 200);
  return (await response.json()).code;
}

/** Both forms of a sign-in went through nginx without Sec-Fetch-Site, and with the browser's own origin. */
function assertSentByOrigin(count) {
  const sent = nginx.posts().slice(-count);
  assert.deepEqual(sent.map((line) => line.replace(/^POST \S+ /, '')), Array(count).fill(`site=- origin=${publicUrl}`));
}

test('Chromium signs in behind a proxy that rewrites Host', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  await page.goto(vestibule.authorizeUrl(application.callback));
  assert.equal(new URL(page.url()).host, new URL(publicUrl).host);
  await page.locator('input[name="email"]').fill('chromium@example.com');
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.locator('input[name="code"]').fill(await codeFor('chromium@example.com'));
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  assertSentByOrigin(2);
  await context.close();
});

test('Firefox signs in behind a proxy that rewrites Host', async () => {
  const firefox = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    extraPrefsFirefox: { 'network.dns.localDomains': NAME },
  });
  try {
    const page = await firefox.newPage();
    await page.goto(vestibule.authorizeUrl(application.callback));
    await page.locator('input[name="email"]').fill('firefox@example.com');
    await Promise.all([page.waitForNavigation(), page.locator('button.main').click()]);
    await page.locator('input[name="code"]').fill(await codeFor('firefox@example.com'));
    await Promise.all([page.waitForNavigation(), page.locator('button.main').click()]);
    assert.ok(page.url().startsWith(application.callback), page.url());
    assertSentByOrigin(2);
  } finally {
    await firefox.close();
  }
});

test('a page at a foreign name that points here can use nothing', async () => {
  const context = await chromium.newContext();
  const page = await context.newPage();
  const { port } = new URL(upstream);
  const response = await page.goto(`http://${FOREIGN}:${port}/`);
  assert.equal(response.status(), 421);
  await page.getByText('public_urls').waitFor();
  const asked = await page.evaluate(async ([id, secret]) => {
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret });
    const answers = await Promise.all([
      fetch('/oauth/token', { method: 'POST', body: form }),
      fetch('/api/v1/logs/authentication/requests'),
      fetch('/_emulator/v1/messages'),
      fetch('/keys'),
    ]);
    return answers.map((answer) => answer.status);
  }, [vestibule.clientId, vestibule.clientSecret]);
  assert.deepEqual(asked, [421, 421, 421, 421]);
  await context.close();
});
