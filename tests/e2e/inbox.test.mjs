// The inbox: list and email side by side, by mouse, by keyboard, and without a script.
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { freshPage, startBrowser, takePictures } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

let browser;
let application;
let vestibule;

before(async () => {
  vestibule = await startVestibule('smtp_listen = "localhost:0"\n[limits]\nmails_per_address = 0\n');
  application = await startApplication();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await application?.stop();
  await vestibule?.stop();
});

const inbox = (path = '') => `${vestibule.url}/_emulator/inbox${path}`;
const signIn = (address) => fetch(vestibule.authorizeUrl(application.callback, { login_hint: address }), { redirect: 'manual' });
const empty = () => fetch(`${vestibule.url}/_emulator/v1/messages`, { method: 'DELETE' });

/** Sends an email as another program does. */
async function send(to, source) {
  const [, host, port] = vestibule.smtpListen.match(/^\[?(.*?)\]?:(\d+)$/);
  const lines = ['EHLO test', 'MAIL FROM:<app@acme.example>', `RCPT TO:<${to}>`, 'DATA', `${source}\r\n.`, 'QUIT'];
  const socket = createConnection({ host, port: Number(port) });
  let said = '';
  socket.on('data', (data) => {
    said += data;
    if (/^\d{3} .*\r\n$/m.test(String(data).split('\r\n').slice(-2).join('\r\n')) && lines.length) socket.write(`${lines.shift()}\r\n`);
  });
  await new Promise((resolve, reject) => { socket.on('close', resolve); socket.on('error', reject); });
  assert.match(said, /^250 2\.0\.0 In the inbox/m);
}

const ORDER = `From: Acme <app@acme.example>\r\nSubject: Your order\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nThank you.\r\nYour code: 7306\r\n--b\r\nContent-Type: text/html\r\n\r\n<h1 style="color:#4f46e5">Thank you</h1><script>parent.document.title='stolen'</script><img src="https://tracker.example/x.png"><p><a href="https://acme.example/orders/7">See your order</a></p>\r\n--b--`;

async function checkAccessibility(page, where) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const { violations } = await new AxeBuilder({ page }).exclude('iframe').analyze();
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], `${where}, ${colorScheme}`);
  }
}

test('emails are read beside the list, and new ones appear while one is open', async () => {
  await empty();
  await signIn('first@example.com');
  const { context, page, faults } = await freshPage(browser, { viewport: { width: 1280, height: 800 } });
  await page.goto(inbox());
  assert.equal(await page.title().then((title) => title.startsWith('(1) Inbox')), true);
  await page.getByRole('link', { name: /first@example\.com/ }).click();
  await page.locator('#inbox-subject').waitFor();
  assert.match(page.url(), /inbox\/msg_/);
  assert.ok(!(await page.title()).startsWith('('), 'it is read');
  await page.frameLocator('iframe').getByText((await vestibule.mailTo('first@example.com')).code, { exact: false }).first().waitFor();

  await page.getByRole('link', { name: 'Text', exact: true }).click();
  const text = page.getByLabel('Text of the email');
  await text.waitFor();
  await send('order@example.com', ORDER);
  await page.getByRole('link', { name: /order@example\.com/ }).waitFor();
  assert.ok((await page.title()).startsWith('(1) Inbox'));
  assert.ok(await text.isVisible(), 'what is read stays');
  await page.getByText('New email to order@example.com: Your order').waitFor({ state: 'attached' });

  await page.getByRole('link', { name: /order@example\.com/ }).click();
  await page.getByLabel('Text of the email').getByText('Thank you.').waitFor();
  await page.getByRole('link', { name: 'HTML', exact: true }).click();
  await page.frameLocator('iframe').getByRole('heading', { name: 'Thank you' }).waitFor();
  assert.ok(!(await page.title()).includes('stolen'));
  await page.getByRole('link', { name: 'Headers', exact: true }).click();
  await page.getByText('multipart/alternative; boundary=b').waitFor();
  await page.getByRole('link', { name: 'Raw', exact: true }).click();
  await page.getByLabel('Source of the email').waitFor();
  await page.getByRole('link', { name: 'Links (1)', exact: true }).click();
  await page.getByRole('main').getByRole('link', { name: 'https://acme.example/orders/7' }).last().waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download .eml' }).click()]);
  assert.match(download.suggestedFilename(), /^msg_\d+\.eml$/);

  await page.goBack();
  await page.getByLabel('Source of the email').waitFor();
  await page.getByRole('link', { name: 'HTML', exact: true }).click();
  await page.locator('iframe').waitFor();
  await takePictures(page, 'inbox-beside');
  await checkAccessibility(page, 'with an email');
  assert.match(await page.locator('time').first().textContent(), /^(now|\d+ seconds? ago)$/);
  // What the frame refuses an email is told on the console.
  assert.deepEqual(faults.filter((fault) => !/Content Security Policy|sandboxed|tracker\.example/.test(fault)), []);
  await context.close();
});

test('emails are found as one types', async () => {
  await empty();
  await signIn('jane@example.com');
  await signIn('bob@example.com');
  const { context, page, faults } = await freshPage(browser);
  await page.goto(inbox());
  const { code } = await vestibule.mailTo('bob@example.com');
  for (const [typed, found, hidden] of [[code, 'bob', 'jane'], ['JANE@', 'jane', 'bob']]) {
    await page.getByLabel('Search emails').fill(typed);
    await page.getByRole('link', { name: `${hidden}@example.com` }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: `${found}@example.com` }).waitFor();
  }
  assert.match(page.url(), /q=JANE/);
  await page.getByLabel('Search emails').fill('nothing like it');
  await page.getByText('No emails match “nothing like it”.').waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});

test('the keyboard does what the mouse does', async () => {
  await empty();
  for (const name of ['one', 'two', 'three']) await signIn(`${name}@example.com`);
  const { context, page, faults } = await freshPage(browser, { viewport: { width: 1280, height: 800 } });
  await page.goto(inbox());
  const focused = () => page.evaluate(() => document.activeElement.textContent.replace(/\s+/g, ' '));
  for (const [key, name] of [['j', 'three'], ['j', 'two'], ['ArrowDown', 'one'], ['k', 'two']]) {
    await page.keyboard.press(key);
    assert.match(await focused(), new RegExp(`to ${name}@example.com`), key);
  }
  await page.keyboard.press('Enter');
  await page.locator('#inbox-subject').waitFor();
  assert.match(await focused(), /to two@example\.com/, 'the list keeps the focus');
  await page.keyboard.press('/');
  await page.keyboard.type('j');
  assert.equal(await page.getByLabel('Search emails').inputValue(), 'j', 'letters are letters in a field');
  await page.getByLabel('Search emails').fill('');
  await page.waitForURL((url) => url.search === '?q=');
  await page.getByText('Select an email to read it here.').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Delete');
  const button = page.getByRole('button', { name: 'Delete this email' });
  await button.waitFor();
  assert.equal(await focused(), 'Delete this email');
  await page.keyboard.press('Enter');
  await page.getByText('Deleted.').waitFor();
  assert.equal(await page.getByRole('link', { name: /two@example\.com/ }).count(), 0);
  assert.equal(await page.locator('[data-mail]').count(), 2);
  assert.deepEqual(faults, []);
  await context.close();
});

test('a phone shows one after the other', async () => {
  await empty();
  await signIn('phone@example.com');
  await send('phone@example.com', ORDER);
  const { context, page, faults } = await freshPage(browser, { viewport: { width: 390, height: 844 } });
  await page.goto(inbox());
  await takePictures(page, 'inbox-list');
  await checkAccessibility(page, 'list');
  await page.getByRole('link', { name: /Your order/ }).click();
  await page.locator('#inbox-subject').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'inbox-subject');
  assert.ok(!(await page.getByLabel('Search emails').isVisible()));
  for (const target of await page.locator('main a:visible, main button:visible, main summary:visible').all()) {
    const { height } = await target.boundingBox();
    const isInText = await target.evaluate((element) => element.closest('dd') !== null && element.tagName === 'A');
    assert.ok(height >= 44 || isInText, `${await target.textContent()}: ${height}`);
  }
  for (const width of [320, 390]) {
    await page.setViewportSize({ width, height: 640 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
  }
  await page.getByRole('link', { name: '← All emails' }).click();
  await page.getByLabel('Search emails').waitFor();
  assert.deepEqual(faults.filter((fault) => !/Content Security Policy|sandboxed|tracker\.example/.test(fault)), []);
  await context.close();
});

test('all of it works without a script', async () => {
  await empty();
  await signIn('plain@example.com');
  await send('plain@example.com', ORDER);
  const { context, page } = await freshPage(browser, { javaScriptEnabled: false, viewport: { width: 1280, height: 800 } });
  await page.goto(inbox());
  await page.getByLabel('Search emails').fill('7306');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  assert.equal(await page.locator('[data-mail]').count(), 1);
  await page.locator('[data-mail]').click();
  await page.getByRole('link', { name: 'Links (1)' }).click();
  await page.getByRole('main').getByText('https://acme.example/orders/7').first().waitFor();
  await page.locator('summary', { hasText: /^Delete$/ }).click();
  await page.getByRole('button', { name: 'Delete this email' }).click();
  await page.getByText('Deleted.').waitFor();
  await page.goto(inbox());
  await page.locator('summary', { hasText: 'Delete all' }).click();
  await page.getByText('This deletes the email in this inbox').waitFor();
  await page.getByRole('button', { name: 'Delete all emails' }).click();
  await page.getByText('No emails yet.').waitFor();
  await context.close();
});
