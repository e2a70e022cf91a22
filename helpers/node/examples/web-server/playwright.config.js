import { defineConfig } from '@playwright/test';
import { attach, startServer } from '@vestibule-idp/testing';

// Each worker reads this file again, and finds the server that the first reading started.
const running = process.env.TEST_VESTIBULE_URL;
const vestibule = running ? await attach(running) : await startServer();
process.env.TEST_VESTIBULE_URL = vestibule.url;

const port = process.env.PORT ?? '3000';
const app = `http://localhost:${port}`;

export default defineConfig({
  webServer: { command: 'node start.js', url: app, env: { ...vestibule.env(), PORT: port } },
  use: { baseURL: app, vestibuleServerOptions: { url: vestibule.url } },
});
