// Users in a real browser.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freshPage, startBrowser } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

let browser;
let application;
let vestibule;
let count = 0;
const newAddress = () => `person-${++count}@example.com`;

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

const press = (page) => page.getByRole('button', { name: 'Continue', exact: true }).click();

/** The steps that Scalekit publishes for Playwright, letter by letter. */
async function publishedSteps(page, address, code) {
  await page.locator('input[name="email"]').fill(address);
  await press(page);
  const first = page.locator('[data-scope="pin-input"][data-part="input"]').first();
  await first.click();
  for (const digit of code ?? (await vestibule.mailTo(address)).code) await page.keyboard.press(digit);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
}

function assertSignedIn(page) {
  const { searchParams } = new URL(page.url());
  assert.ok(searchParams.get('code'));
  assert.equal(searchParams.get('state'), 'st4te');
}

test('a person signs in by TLS, with cookies that never go out in plaintext', async () => {
  const { context, page, faults } = await freshPage(browser, { ignoreHTTPSErrors: true });
  const url = new URL(vestibule.authorizeUrl(application.callback));
  const response = await page.goto(`${vestibule.httpsUrl}${url.pathname}${url.search}`);
  assert.equal(response.url().startsWith(`${vestibule.httpsUrl}/login/`), true);
  await publishedSteps(page, newAddress());
  assertSignedIn(page);
  assert.equal(new URL(page.url()).searchParams.get('iss'), vestibule.httpsUrl);
  const cookies = await context.cookies(vestibule.httpsUrl);
  assert.ok(cookies.length >= 2 && cookies.every((cookie) => cookie.secure && cookie.httpOnly), JSON.stringify(cookies));
  assert.deepEqual(faults, []);
  await context.close();
});

describe('the published steps', () => {
  for (const prompt of [undefined, 'create', 'login']) {
    test(`sign a person in with prompt=${prompt ?? '(none)'}`, async () => {
      const { context, page, faults } = await freshPage(browser);
      await page.goto(vestibule.authorizeUrl(application.callback, prompt && { prompt }));
      await publishedSteps(page, newAddress());
      assertSignedIn(page);
      assert.deepEqual(faults, []);
      await context.close();
    });
  }

  test('sign a +sktest user in with the static code', async () => {
    const { context, page } = await freshPage(browser);
    await page.goto(vestibule.authorizeUrl(application.callback));
    await publishedSteps(page, 'john+sktest@example.com', '424242');
    assertSignedIn(page);
    await context.close();
  });

  test('work without JavaScript', async () => {
    const { context, page } = await freshPage(browser, { javaScriptEnabled: false });
    await page.goto(vestibule.authorizeUrl(application.callback));
    await publishedSteps(page, newAddress());
    assertSignedIn(page);
    await context.close();
  });
});

test('a hinted address is mailed at once, and "Not you?" starts over', async () => {
  const { context, page, faults } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  await page.getByText(address).waitFor();
  await page.getByRole('button', { name: 'Not you?' }).click();
  await publishedSteps(page, newAddress());
  assertSignedIn(page);
  assert.deepEqual(faults, []);
  await context.close();
});

test('the second application signs in silently, and logout ends that', async () => {
  const two = await startVestibule(['first', 'second'].map((name, i) => `[[clients]]
client_id = "skc_${i + 1}"
name = "${name}"
type = "web"
client_secret = "test_secret_of_the_${name}"
redirect_uris = ["${application.callback}"]
`).join(''));
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(two.authorizeUrl(application.callback, { client_id: 'skc_1', login_hint: address }));
  await page.locator('input[name="code"]').fill((await two.mailTo(address)).code);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
  await page.goto(two.authorizeUrl(application.callback, { client_id: 'skc_2', state: 'other' }));
  const { searchParams } = new URL(page.url());
  assert.ok(searchParams.get('code'));
  assert.equal(searchParams.get('state'), 'other');
  await page.goto(`${two.url}/oidc/logout`);
  await page.getByRole('heading', { name: "You're signed out" }).waitFor();
  await page.goto(two.authorizeUrl(application.callback, { client_id: 'skc_2' }));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await context.close();
  await two.stop();
});

test('a logout form of another site asks first, and then leads back', async () => {
  const asking = await startVestibule('[logout]\nconfirm = "without_hint"\n');
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(asking.authorizeUrl(application.callback, { login_hint: address }));
  await page.locator('input[name="code"]').fill((await asking.mailTo(address)).code);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
  // By its address the application is another site than localhost, and cookies that are Lax stay behind.
  await page.goto(application.callback.replace('localhost', '127.0.0.1'));
  await page.evaluate(([action, back]) => {
    document.body.innerHTML = '<form method="post"><input name="post_logout_redirect_uri"></form>';
    document.forms[0].action = action;
    document.forms[0].elements[0].value = back;
    document.forms[0].submit();
  }, [`${asking.url}/oidc/logout`, application.callback]);
  await page.getByRole('heading', { name: 'Sign out?' }).waitFor();
  await page.getByText(address).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${application.callback}**`);
  await page.goto(asking.authorizeUrl(application.callback));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await context.close();
  await asking.stop();
});

test('a link works without JavaScript, after a click', async () => {
  const { context, page } = await freshPage(browser, { javaScriptEnabled: false });
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  await page.goto((await vestibule.mailTo(address)).link);
  await page.getByText('Press Continue to finish signing in.').waitFor();
  await press(page);
  await page.waitForURL(`${application.callback}**`);
  assertSignedIn(page);
  await context.close();
});

test('a link opened in the same browser signs in by itself, and the waiting tab moves on', async () => {
  const { context, page, faults } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const { link } = await vestibule.mailTo(address);
  const second = await context.newPage();
  await second.goto(link);
  await second.waitForURL(`${application.callback}**`);
  assertSignedIn(second);
  await page.bringToFront();
  await page.getByRole('heading', { name: "You're signed in" }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});

test('a link opened in another browser is refused and stays usable in the right one', async () => {
  const mine = await freshPage(browser);
  const theirs = await freshPage(browser);
  const address = newAddress();
  await mine.page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const { link } = await vestibule.mailTo(address);
  await theirs.page.goto(link);
  await theirs.page.getByRole('heading', { name: 'Open this link where you started' }).waitFor();
  await mine.page.goto(link);
  await mine.page.waitForURL(`${application.callback}**`);
  assertSignedIn(mine.page);
  await Promise.all([mine.context.close(), theirs.context.close()]);
});

test('a page that a browser loads ahead sends nothing, and the click that follows does', async () => {
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(application.callback);
  const ahead = page.waitForResponse((response) => response.url().includes('/oauth/authorize'));
  await page.evaluate((href) => {
    const link = Object.assign(document.createElement('link'), { rel: 'prefetch', href });
    document.head.append(link);
  }, vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const response = await ahead;
  const sent = await response.request().allHeaders();
  assert.ok(sent['sec-purpose'] ?? sent.purpose, JSON.stringify(sent));
  assert.equal(response.status(), 503);
  const mails = await (await fetch(`${vestibule.url}/_emulator/v1/messages?to=${address}`)).json();
  assert.deepEqual(mails.messages ?? mails, []);
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  await page.getByText(address).waitFor();
  assert.ok((await vestibule.mailTo(address)).code);
  await context.close();
});

test('without enforcement another browser finishes after a click, not before', async () => {
  const lenient = await startVestibule('[passwordless]\nenforce_same_browser_origin = false\n');
  const mine = await freshPage(browser);
  const theirs = await freshPage(browser);
  const address = newAddress();
  await mine.page.goto(lenient.authorizeUrl(application.callback, { login_hint: address }));
  await theirs.page.goto((await lenient.mailTo(address)).link);
  const status = `${mine.page.url()}/status`;
  assert.equal((await (await mine.context.request.get(status)).json()).state, 'waiting');
  await press(theirs.page);
  await theirs.page.waitForURL(`${application.callback}**`);
  assertSignedIn(theirs.page);
  await mine.page.getByRole('heading', { name: "You're signed in" }).waitFor();
  await Promise.all([mine.context.close(), theirs.context.close()]);
  await lenient.stop();
});

test('a wrong code is told beside the field, and after five the person starts again', async () => {
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const { code } = await vestibule.mailTo(address);
  const wrong = code.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
  for (const left of ['4 attempts', '3 attempts', '2 attempts', '1 attempt']) {
    await page.locator('input[name="code"]').fill(wrong);
    await press(page);
    await page.getByRole('alert').filter({ hasText: left }).waitFor();
  }
  // What users see is a page of its own: a reload shows it again, and tries nothing again.
  await page.reload();
  await page.getByRole('alert').filter({ hasText: '1 attempt left' }).waitFor();
  await page.locator('input[name="code"]').fill(wrong);
  await press(page);
  await page.getByRole('heading', { name: 'Too many incorrect codes' }).waitFor();
  await page.getByRole('button', { name: 'Start again' }).click();
  await publishedSteps(page, newAddress());
  assertSignedIn(page);
  await context.close();
});

test('"Resend" counts down, then sends a new code that kills the first', async () => {
  const { context, page } = await freshPage(browser);
  await page.clock.install();
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const first = await vestibule.mailTo(address);
  const again = page.getByRole('button', { name: /^resend/i });
  assert.equal(await again.isDisabled(), true);
  await page.clock.runFor(31_000);
  await again.click();
  await page.getByRole('status').waitFor();
  const second = await vestibule.mailTo(address);
  assert.notEqual(first.code, second.code);
  await page.locator('input[name="code"]').fill(second.code);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
  await context.close();
});

test('the answer to the own code wins over what the waiting tab notices meanwhile', async () => {
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  // The answer to the code is held back until the tab has asked again and would have moved on.
  let asked;
  const askedAgain = new Promise((resolve) => { asked = resolve; });
  let submitted = false;
  await page.route('**/login/*/status', async (route) => {
    if (!submitted) return route.fulfill({ json: { state: 'waiting' } });
    await route.fulfill({ json: { state: 'moved' } });
    asked();
  });
  await page.route('**/login/*/code', async (route) => {
    submitted = true;
    const response = await route.fetch({ maxRedirects: 0 });
    await Promise.race([askedAgain, new Promise((resolve) => setTimeout(resolve, 3000))]);
    await route.fulfill({ response });
  });
  await page.locator('input[name="code"]').fill((await vestibule.mailTo(address)).code);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
  assertSignedIn(page);
  await context.close();
});

test('a code pasted with spaces and words keeps its digits', async () => {
  const { context, page } = await freshPage(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback, { login_hint: address }));
  const { code } = await vestibule.mailTo(address);
  await page.evaluate((text) => navigator.clipboard.writeText(text), `Your code is ${code.slice(0, 3)} ${code.slice(3)}.`);
  await page.locator('input[name="code"]').focus();
  await page.keyboard.press('Control+V');
  assert.equal(await page.locator('input[name="code"]').inputValue(), code);
  await context.close();
});

test('the keyboard alone is enough', async () => {
  const { context, page } = await freshPage(browser);
  const address = newAddress();
  await page.goto(vestibule.authorizeUrl(application.callback));
  await page.locator('input[name="email"]:focus').waitFor();
  await page.keyboard.type(address);
  await page.keyboard.press('Enter');
  await page.locator('input[name="code"]:focus').waitFor();
  await page.keyboard.type((await vestibule.mailTo(address)).code);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${application.callback}**`);
  assertSignedIn(page);
  await context.close();
});

test('a mail appears in the open inbox by itself', async () => {
  const { context, page, faults } = await freshPage(browser);
  const address = newAddress();
  await page.goto(`${vestibule.url}/_emulator/inbox?to=${address}`);
  await page.getByText(`No emails to ${address}`).waitFor();
  await fetch(vestibule.authorizeUrl(application.callback, { login_hint: address }), { redirect: 'manual' });
  await page.getByText((await vestibule.mailTo(address)).code, { exact: true }).first().waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});
