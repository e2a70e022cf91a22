import { startServer } from '@vestibule-idp/testing';
import { startApp } from '../app.js';

/** @type {Cypress.ConfigOptions} */
export default {
  e2e: {
    specPattern: 'e2e/**/*.cy.js',
    supportFile: false,

    async setupNodeEvents(on, config) {
      const server = await startServer();
      const vestibule = await server.newEnvironment();
      const app = await startApp(vestibule);
      config.baseUrl = app.url;

      // Tasks answer with null where there is nothing to tell: Cypress takes undefined for a mistake.
      on('task', {
        // Where the inbox stands: `since` it, only newer emails count.
        'vestibule:cursor': async (address) => (await vestibule.inbox(address)).cursor,
        'vestibule:code': ({ address, since }) => vestibule.waitForCode(address, { since }),
        'vestibule:link': ({ address, since }) => vestibule.waitForLink(address, { since }),
        'vestibule:message': ({ address, since }) => vestibule.waitForMessage(address, { since }),
        'vestibule:advance': (seconds) => vestibule.clock.advance(seconds),
        'vestibule:settings': (changes) => vestibule.settings.change(changes),
        'vestibule:reset': async () => {
          await vestibule.reset();
          return null;
        },
      });
      on('after:run', async () => {
        await app.close();
        await server.stop();
      });
      return config;
    },
  },
};
