import { existsSync } from 'node:fs';
import { expect, test as base } from '@playwright/test';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

const test = vestibuleFixtures(base);

// The browser of the system, where there is one; else Playwright's own.
const chromium = '/usr/bin/chromium';
test.use({ launchOptions: existsSync(chromium) ? { executablePath: chromium, args: ['--no-sandbox'] } : {} });

// The tests share one application and one environment, so each has an address of its own.
for (const email of ['ada@example.com', 'grace@example.com']) {
  test(`signs ${email} in`, async ({ page, vestibuleServer }) => {
    await page.goto('/login');
    await vestibuleServer.signIn(page, email);
    await expect(page.getByText(email)).toBeVisible();
  });
}
