import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

// The browser of the system, where there is one; else Playwright's own.
const chromium = '/usr/bin/chromium';

export default defineConfig({
  testDir: '.',
  fullyParallel: true,
  workers: 2,
  reporter: 'list',
  outputDir: '../../test-results',
  use: {
    browserName: 'chromium',
    launchOptions: existsSync(chromium) ? { executablePath: chromium, args: ['--no-sandbox'] } : {},
  },
});
