import { attach, startServer } from './index.js';

// Types and descriptions are in playwright.d.ts.

export function vestibuleFixtures(base) {
  return base.extend({
    vestibuleServerOptions: [{}, { option: true, scope: 'worker' }],
    vestibuleOptions: [{}, { option: true }],
    vestibuleServer: [
      async ({ vestibuleServerOptions }, use) => {
        const { url, token, ...start } = vestibuleServerOptions;
        const server = url === undefined ? await startServer(start) : await attach(url, { token });
        await use(server);
        await server.stop();
      },
      { scope: 'worker' },
    ],
    vestibule: async ({ vestibuleServer, vestibuleOptions }, use) => {
      const environment = await vestibuleServer.newEnvironment(vestibuleOptions);
      await use(environment);
      await environment[Symbol.asyncDispose]();
    },
  });
}
