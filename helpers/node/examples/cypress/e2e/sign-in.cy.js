describe('sign-in', () => {
  beforeEach(() => {
    cy.task('vestibule:reset');
  });

  it('shows who signed in', () => {
    cy.vestibuleSignIn('ada@example.com');
    cy.contains('h1', 'Welcome');
    cy.contains('ada@example.com');
  });

  it('works by the code of the email', () => {
    cy.visit('/');
    cy.contains('a', 'Sign in').click();
    cy.get('input[name=email]').type('ada@example.com');
    cy.contains('button', 'Continue').click();
    cy.get('input[name=code]').should('be.visible');
    cy.task('vestibule:code', { address: 'ada@example.com' }).then((code) => {
      cy.get('input[name=code]').type(code);
      cy.contains('button', 'Continue').click();
    });
    cy.contains('h1', 'Welcome');
    cy.contains('ada@example.com');
  });
});
