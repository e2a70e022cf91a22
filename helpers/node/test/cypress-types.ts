// Checked by the compiler alone, beside Cypress's own types.
import type { Server } from '@vestibule-idp/testing';
import { vestibuleTasks } from '@vestibule-idp/testing/cypress';

export const tasks: Cypress.Tasks = vestibuleTasks({} as Server);
export function commands(): void {
  cy.vestibuleSignIn('ada@example.com', { loginUrl: '/auth/login' }).then(() => undefined);
  // @ts-expect-error: an address is a text.
  cy.vestibuleSignIn(1);
}
