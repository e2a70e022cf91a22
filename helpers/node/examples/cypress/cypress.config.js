import { startServer } from '@vestibule-idp/testing';
import { vestibuleTasks } from '@vestibule-idp/testing/cypress';
import { startApp } from '../app.js';

/** @type {Cypress.ConfigOptions} */
export default {
  e2e: {
    specPattern: 'e2e/**/*.cy.js',
    supportFile: 'support.js',

    async setupNodeEvents(on, config) {
      const server = await startServer();
      const vestibule = await server.newEnvironment();
      const app = await startApp(vestibule);
      config.baseUrl = app.url;

      on('task', vestibuleTasks(vestibule));
      on('after:run', async () => {
        await app.close();
        await server.stop();
      });
      return config;
    },
  },
};
