/// <reference types="cypress" />
import type { Environment } from './index.js';

/**
 * Tasks for `on('task', …)` of `cypress.config.js`: `vestibule:cursor`, `vestibule:code`, `vestibule:link`,
 * `vestibule:message`, `vestibule:sign-in`, `vestibule:advance`, `vestibule:settings` and `vestibule:reset`.
 */
export function vestibuleTasks(vestibule: Environment): Cypress.Tasks;

declare global {
  namespace Cypress {
    interface Chainable {
      /**
       * Signs an address in without email or page, and visits the application's callback. `loginUrl` is where the
       * application begins a sign-in: it has to redirect to Vestibule. `/login` when left out. Import
       * `@vestibule-idp/testing/cypress-commands` in the support file. The application has to allow instant sign-in, as
       * it does in environments that the helpers make.
       */
      vestibuleSignIn(email: string, options?: { loginUrl?: string }): Chainable<void>;
    }
  }
}
