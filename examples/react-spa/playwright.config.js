import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

const vestibule = 'http://localhost:6871';
const app = 'http://localhost:3001';
// The system's browser, where there is one; else Playwright's own.
const chromium = '/usr/bin/chromium';

export default defineConfig({
  reporter: 'list',
  use: {
    baseURL: app,
    launchOptions: existsSync(chromium) ? { executablePath: chromium, args: ['--no-sandbox'] } : {},
    vestibuleServerOptions: { url: vestibule },
  },
  webServer: [
    {
      command: `${process.env.VESTIBULE_BIN ?? 'vestibule'} --ephemeral --listen localhost:6871`,
      url: `${vestibule}/ready`,
      gracefulShutdown: { signal: 'SIGTERM', timeout: 5000 },
    },
    {
      command: 'npm start',
      url: app,
      // All that the application learns of Vestibule. These are its default credentials; the secret is there to see
      // that it goes nowhere.
      env: {
        PORT: '3001',
        SCALEKIT_ENVIRONMENT_URL: vestibule,
        SCALEKIT_SPA_CLIENT_ID: 'spac_687000000000000001',
        SCALEKIT_CLIENT_SECRET: 'test_vestibule_local_development_secret_do_not_deploy_6870',
      },
    },
  ],
});
