// Runs in the browser, from Cypress's support file. Types and descriptions are in cypress.d.ts.

Cypress.Commands.add('vestibuleSignIn', (email, { loginUrl = '/login' } = {}) => {
  // The application begins the sign-in, so that its cookies are in the browser; the redirect is not followed.
  cy.request({ url: loginUrl, followRedirect: false }).then(({ headers }) => {
    cy.task('vestibule:sign-in', { email, authorizationUrl: headers.location }).then(({ callback_url }) => {
      cy.visit(callback_url);
    });
  });
});
