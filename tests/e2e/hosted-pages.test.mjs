// The sign-in pages: what the script adds, what is true without it, languages, and sizes for fingers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { freshPage, startBrowser } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

let browser;
let application;
let vestibule;
let count = 0;
const newAddress = () => `hosted-${++count}@example.com`;

before(async () => {
  vestibule = await startVestibule();
  application = await startApplication();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await application?.stop();
  await vestibule?.stop();
});

const field = (page) => page.locator('input[name="code"]');
const markedCell = (page) => page.evaluate(() => [...document.querySelectorAll('.boxes span')].findIndex((cell) => cell.classList.contains('active')));

test('the cell that the next digit falls into is marked', async () => {
  const { context, page, faults } = await freshPage(browser);
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: newAddress() }));
  await page.locator('input[name="code"]:focus').waitFor();
  assert.equal(await markedCell(page), 0);
  await page.keyboard.type('123');
  assert.equal(await markedCell(page), 3);
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.querySelectorAll('.boxes span')[2].classList.contains('active'));
  await page.keyboard.press('End');
  await page.keyboard.type('456');
  assert.equal(await markedCell(page), 5);
  await field(page).blur();
  assert.equal(await markedCell(page), -1);
  assert.deepEqual(faults, []);
  await context.close();
});

for (const [name, spell] of Object.entries({
  'full-width digits': (code) => [...code].map((digit) => String.fromCharCode(0xff10 + Number(digit))).join(''),
  dashes: (code) => `${code.slice(0, 2)}-${code.slice(2, 4)}\u2013${code.slice(4)}`,
  'words and another number': (code) => `Acme 24: your code is ${code.slice(0, 3)} ${code.slice(3)}`,
})) {
  test(`a code pasted with ${name} keeps its digits`, async () => {
    const { context, page } = await freshPage(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
    const address = newAddress();
    await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
    const { code } = await vestibule.mailTo(address);
    await page.evaluate((text) => navigator.clipboard.writeText(text), spell(code));
    await field(page).focus();
    await page.keyboard.press('Control+V');
    assert.equal(await field(page).inputValue(), code);
    await context.close();
  });
}

test('a code that was filled in with full-width digits, spaces or dashes is a code', async () => {
  const { context, page } = await freshPage(browser);
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: newAddress() }));
  for (const filled of ['\uff11\uff12\uff13\uff14\uff15\uff16', '123 456', '12-34-56', '123 456 789']) {
    await field(page).fill('');
    await page.keyboard.insertText(filled);
    assert.equal(await field(page).inputValue(), '123456');
  }
  await context.close();
});

test('in development the code is filled in by a press, and the inbox is a press away', async () => {
  const { context, page, faults } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  await page.getByRole('button', { name: 'Fill in' }).click();
  assert.equal(await field(page).inputValue(), (await vestibule.mailTo(address)).code);
  const [inbox] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: 'Open inbox' }).click()]);
  await inbox.getByRole('heading', { name: 'Inbox' }).waitFor();
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  assert.deepEqual(faults, []);
  await context.close();
});

test('in development an account is a press away, and its button is no Continue', async () => {
  const own = await startVestibule('[[organizations]]\ndisplay_name = "Acme"\nexternal_id = "acme"\n[[users]]\nemail = "admin@acme.example"\norganizations = ["acme"]\n');
  const { context, page, faults } = await freshPage(browser);
  await page.goto(own.authorizeUrl(application.callback));
  const account = page.getByRole('complementary', { name: 'Accounts' }).getByRole('button');
  assert.match(await account.textContent(), /admin@acme\.example.*Acme/);
  assert.equal(await page.getByRole('button', { name: 'Continue' }).count(), 1);
  await account.click();
  await field(page).fill((await own.mailTo('admin@acme.example')).code);
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  assert.deepEqual(faults, []);
  await context.close();
  await own.stop();
});

test('the last digit submits the form where that is set', async () => {
  const eager = await startVestibule('[pages]\nsubmit_on_last_digit = true\n');
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(eager.authorizeUrl(application.callback, { login_hint: address }));
  await page.locator('input[name="code"]:focus').waitFor();
  await page.keyboard.type((await eager.mailTo(address)).code);
  await page.waitForURL(`${application.callback}**`);
  assert.ok(new URL(page.url()).searchParams.get('code'));
  await context.close();
  await eager.stop();
});

test('without JavaScript a page promises nothing that only a script does', async () => {
  const linkOnly = await startVestibule('[passwordless]\ntype = "LINK"\n');
  const address = linkOnly.authorizeUrl(application.callback, { login_hint: newAddress() });
  for (const javaScriptEnabled of [false, true]) {
    const { context, page } = await freshPage(browser, { javaScriptEnabled });
    await page.goto(address);
    await page.getByText('Open it in this browser.').waitFor();
    assert.equal(await page.getByText('This page will continue automatically.').isVisible(), javaScriptEnabled);
    await context.close();
  }
  await linkOnly.stop();
});

test('a browser shows the pages in its language', async () => {
  const { context, page, faults } = await freshPage(browser, { locale: 'de-AT' });
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback));
  assert.equal(await page.locator('html').getAttribute('lang'), 'de');
  await page.getByLabel('E-Mail-Adresse').fill(address);
  await page.getByRole('button', { name: 'Weiter', exact: true }).click();
  await field(page).fill((await vestibule.mailTo(address)).code);
  await page.getByRole('button', { name: 'Weiter', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  assert.deepEqual(faults, []);
  await context.close();
});

test('an expired code leaves one button, which sends another', async () => {
  const own = await startVestibule('[limits]\nmails_per_address = 0\n');
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(own.authorizeUrl(application.callback, { login_hint: address }));
  await own.moveClock(300);
  await page.reload();
  await page.getByRole('heading', { name: 'This code has expired' }).waitFor();
  await page.getByRole('button', { name: 'Resend code' }).click();
  await field(page).fill((await own.mailTo(address)).code);
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.waitForURL(`${application.callback}**`);
  await context.close();
  await own.stop();
});

test('everything to press is large enough for a finger', async () => {
  const branded = await startVestibule('[branding]\nterms_url = "https://example.com/terms"\nprivacy_url = "https://example.com/privacy"\n');
  const { context, page } = await freshPage(browser, { viewport: { width: 390, height: 844 }, reducedMotion: 'reduce' });
  for (const more of [{}, { login_hint: newAddress() }]) {
    await page.goto(branded.authorizeUrl(application.callback, more));
    const small = await page.evaluate(() => [...document.querySelectorAll('main a, main button, .legal a')]
      .filter((target) => target.getBoundingClientRect().height < 44)
      .map((target) => target.outerHTML));
    assert.deepEqual(small, []);
  }
  await context.close();
  await branded.stop();
});

test('nothing moves while a page loads', async () => {
  const busy = await startVestibule('[[users]]\nemail = "ada@example.com"\n[[users]]\nemail = "grace@example.com"\n');
  for (const width of [390, 1280]) {
    const { context, page } = await freshPage(browser, { viewport: { width, height: 844 } });
    for (const [more, lastToCome] of [[{}, '.accounts.ready'], [{ login_hint: newAddress() }, '.dev-bar.ready']]) {
      await page.goto(busy.authorizeUrl(application.callback, more));
      await page.locator(lastToCome).waitFor();
      const shift = await page.evaluate(() => new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; }).observe({ type: 'layout-shift', buffered: true });
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
      }));
      assert.equal(shift, 0, `${lastToCome} at ${width} px`);
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    }
    await context.close();
  }
  await busy.stop();
});
