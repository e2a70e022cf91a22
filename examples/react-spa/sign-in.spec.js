import { expect, test as base } from '@playwright/test';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

const test = vestibuleFixtures(base);

test('signs in by the code of the email, and out', async ({ page, vestibuleServer }) => {
  await page.goto('/');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('Email address').fill('ada@example.com');
  // Opened before the form is sent: no code of an earlier sign-in can be taken for this one's.
  const inbox = await vestibuleServer.inbox('ada@example.com');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Code').fill(await inbox.nextCode());
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByText('Signed in as ada@example.com')).toBeVisible();
  await page.reload();
  await expect(page.getByText('Signed in as ada@example.com')).toBeVisible();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
});

test('refuses a callback of a sign-in that did not begin here', async ({ page }) => {
  await page.goto('/callback?code=stolen&state=made-up');
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
});

test('keeps the client secret out of what browsers load', async ({ page }) => {
  const sources = [];
  page.on('response', async (response) => sources.push(response.text().catch(() => '')));
  await page.goto('/');
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  expect((await Promise.all(sources)).join('\n')).not.toContain('do_not_deploy');
});
