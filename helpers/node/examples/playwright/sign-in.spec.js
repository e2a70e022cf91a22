import { expect, test as base } from '@playwright/test';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';
import { startApp } from '../app.js';

const test = vestibuleFixtures(base).extend({
  // The application of each test talks to that test's environment.
  app: async ({ vestibule }, use) => {
    const app = await startApp(vestibule);
    await use(app);
    await app.close();
  },
});

test('signs in at once', async ({ page, vestibule, app }) => {
  await page.goto(`${app.url}/login`);
  await vestibule.signIn(page, 'ada@example.com');
  await expect(page.getByRole('heading', { name: 'Welcome' })).toBeVisible();
});

test.describe('without instant sign-in', () => {
  test.use({ vestibuleOptions: { instant_sign_in: false } });

  test('signs in on the pages', async ({ page, vestibule, app }) => {
    await page.goto(`${app.url}/login`);
    await vestibule.signIn(page, 'ada@example.com');
    await expect(page.getByText('ada@example.com')).toBeVisible();
    expect((await vestibule.flows('ada@example.com'))[0].status).toBe('SUCCESS');
  });
});

test.describe('by links alone', () => {
  test.use({ vestibuleOptions: { instant_sign_in: false, settings: { passwordless: { type: 'LINK' } } } });

  test('signs in on the pages', async ({ page, vestibule, app }) => {
    await page.goto(`${app.url}/login`);
    await vestibule.signIn(page, 'ada@example.com');
    await expect(page.getByText('ada@example.com')).toBeVisible();
  });

  test('signs in on the page that a hint leads to', async ({ page, vestibule, app }) => {
    // The first one is not finished. Its link is not taken for the second one's.
    await page.goto(`${app.url}/login?login_hint=ada@example.com`);
    await page.goto(`${app.url}/login?login_hint=ada@example.com`);
    await vestibule.signIn(page, 'ada@example.com');
    await expect(page.getByText('ada@example.com')).toBeVisible();
    const flows = await vestibule.flows('ada@example.com');
    expect(flows.map(({ status }) => status)).toEqual(['SUCCESS', 'PENDING']);
  });
});

test('keeps a signed-in browser for other tests', async ({ page, vestibule, app, browser }) => {
  await page.goto(`${app.url}/login`);
  await vestibule.signIn(page, 'ada@example.com');
  const storageState = await page.context().storageState();

  const other = await browser.newContext({ storageState });
  const signedIn = await other.newPage();
  await signedIn.goto(`${app.url}/login`);
  await expect(signedIn.getByText('ada@example.com')).toBeVisible();
  await other.close();
});

test.describe('with several organizations', () => {
  const [acme, globex] = ['org_100000000000000001', 'org_100000000000000002'];
  test.use({
    vestibuleOptions: {
      settings: { tokens: { user_management: true } },
      seed: {
        organizations: [
          { id: acme, display_name: 'Acme' },
          { id: globex, display_name: 'Globex' },
        ],
        users: [{ email: 'ada@example.com', organizations: [acme, globex] }],
      },
    },
  });

  test('enters the one that is named', async ({ page, vestibule, app }) => {
    const callback = page.waitForResponse(/\/callback\?/);
    const chosen = page.waitForRequest(
      (request) => request.postDataJSON()?.organization_id === globex || /\/callback\?/.test(request.url()),
    );
    await page.goto(`${app.url}/login`);
    await vestibule.signIn(page, 'ada@example.com', { organization: 'Globex' });
    expect((await chosen).postDataJSON()?.organization_id).toBe(globex);
    expect((await callback).status()).toBe(200);
  });
});

test('signs in by the code of the email', async ({ page, vestibule, app }) => {
  await page.goto(app.url);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Email address').fill('ada@example.com');
  // Opened before the form is sent: no code of an earlier sign-in can be taken for this one's.
  const inbox = await vestibule.inbox('ada@example.com');
  await page.getByRole('button', { name: 'Continue' }).click();

  await page.getByLabel('Code').fill(await inbox.nextCode());
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('heading', { name: 'Welcome' })).toBeVisible();
  await expect(page.getByText('ada@example.com')).toBeVisible();
});

test('signs in by the link of the email', async ({ page, vestibule, app }) => {
  await page.goto(`${app.url}/login`);
  await page.getByLabel('Email address').fill('ada@example.com');
  const inbox = await vestibule.inbox('ada@example.com');
  await page.getByRole('button', { name: 'Continue' }).click();

  await page.goto(await inbox.nextLink());
  await expect(page.getByRole('heading', { name: 'Welcome' })).toBeVisible();
});

test.describe('with codes of eight digits', () => {
  test.use({ vestibuleOptions: { settings: { passwordless: { type: 'OTP', code_length: 8 } } } });

  test('refuses a code that has expired', async ({ page, vestibule, app }) => {
    await page.goto(`${app.url}/login`);
    await page.getByLabel('Email address').fill('ada@example.com');
    const inbox = await vestibule.inbox('ada@example.com');
    await page.getByRole('button', { name: 'Continue' }).click();

    const code = await inbox.nextCode();
    expect(code).toMatch(/^\d{8}$/);
    await vestibule.clock.advance(301);
    await page.getByLabel('Code').fill(code);
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect(page.getByText(/expired/)).toBeVisible();
  });
});
