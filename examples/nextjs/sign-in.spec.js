import { expect, test as base } from '@playwright/test';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

const test = vestibuleFixtures(base);

test('signs in by the code of the email, and out', async ({ page, vestibuleServer }) => {
  await page.goto('/');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByLabel('Email address').fill('ada@example.com');
  // Opened before the form is sent: no code of an earlier sign-in can be taken for this one's.
  const inbox = await vestibuleServer.inbox('ada@example.com');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Code').fill(await inbox.nextCode());
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('Signed in as ada@example.com')).toBeVisible();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible();
});

test('refuses a callback of a sign-in that did not begin here', async ({ page }) => {
  const response = await page.goto('/auth/callback?code=stolen&state=made-up');
  expect(response.status()).toBe(400);
});
