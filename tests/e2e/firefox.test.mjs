// The key journeys of the dashboard in Firefox.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { startVestibule } from './support/server.mjs';

let vestibule;
let firefox;
before(async () => {
  vestibule = await startVestibule();
  firefox = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
  });
});
after(async () => {
  await firefox?.close();
  await vestibule?.stop();
});

test('Firefox tries a sign-in with the code that the page shows, and sees it among the sign-ins', async () => {
  const page = await firefox.newPage();
  await page.goto(`${vestibule.url}/dashboard/try`);
  await page.locator('::-p-text(Sign in as ada@example.com)').click();
  await page.locator('::-p-text(Fill in)').click();
  await page.locator('button[type="submit"].main').click();
  await page.waitForFunction(() => document.body.innerText.includes('Sign-in result'));
  assert.match(await page.$eval('main', (main) => main.innerText), /ada@example\.com/);

  await page.goto(`${vestibule.url}/dashboard/flows`);
  await page.waitForFunction(() => document.querySelector('[data-live]')?.innerText.includes('Signed in'));
  await page.locator('main table a').click();
  await page.waitForFunction(() => document.body.innerText.includes('+0.0 s'));
});

test('Firefox shows an email that arrives while the inbox is open', async () => {
  const page = await firefox.newPage();
  await page.goto(`${vestibule.url}/_emulator/inbox`);
  const query = new URLSearchParams({
    client_id: vestibule.clientId,
    response_type: 'code',
    redirect_uri: 'http://localhost:3000/callback',
    scope: 'openid',
    login_hint: 'grace@example.com',
  });
  await fetch(`${vestibule.url}/oauth/authorize?${query}`, { redirect: 'manual' });
  await page.waitForFunction(() => document.querySelector('main').innerText.includes('grace@example.com'));
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.body.innerText.includes('Open as another browser'));
});

test('Firefox searches users by the key that finds the search', async () => {
  const page = await firefox.newPage();
  await page.goto(`${vestibule.url}/dashboard/users`);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
  await page.keyboard.type('nobody-of-that-name');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.body.innerText.includes('No results'));
});
