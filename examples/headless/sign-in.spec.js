import { expect, test as base } from '@playwright/test';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

const test = vestibuleFixtures(base);

/** Sends the form with an address; returns what arrives in its inbox from then on. */
async function enterEmail(page, vestibule, address) {
  await page.goto('/');
  await page.getByLabel('Email address').fill(address);
  const inbox = await vestibule.inbox(address);
  await page.getByRole('button', { name: 'Continue' }).click();
  return inbox;
}

test('signs in by the code of the email, and out', async ({ page, vestibuleServer }) => {
  const inbox = await enterEmail(page, vestibuleServer, 'ada@example.com');
  await page.getByLabel('Code').fill(await inbox.nextCode());
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('Signed in as ada@example.com')).toBeVisible();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Email address')).toBeVisible();
});

test('signs in by the link of the email, in the browser that asked for it alone', async ({
  browser,
  page,
  vestibuleServer,
}) => {
  const inbox = await enterEmail(page, vestibuleServer, 'bob@example.com');
  const link = await inbox.nextLink();
  const elsewhere = await browser.newPage();
  expect((await elsewhere.goto(link)).status()).toBe(400);

  await page.goto(link);
  await expect(page.getByText('Signed in as bob@example.com')).toBeVisible();
});

test('says what is wrong with a code', async ({ page, vestibuleServer }) => {
  const inbox = await enterEmail(page, vestibuleServer, 'eve@example.com');
  const code = await inbox.nextCode();
  await page.getByLabel('Code').fill(code === '111111' ? '222222' : '111111');
  const [response] = await Promise.all([
    page.waitForResponse((response) => response.url().endsWith('/code')),
    page.getByRole('button', { name: 'Continue' }).click(),
  ]);
  expect(response.status()).toBe(400);
  await expect(page.getByLabel('Code')).toBeVisible();
});
