describe('sign-in', () => {
  beforeEach(() => {
    cy.task('vestibule:reset');
  });

  it('works by the code of the mail', () => {
    cy.visit('/');
    cy.contains('a', 'Sign in').click();
    cy.get('input[name=email]').type('ada@example.com');
    cy.task('vestibule:cursor', 'ada@example.com').then((since) => {
      cy.contains('button', 'Continue').click();
      cy.get('input[name=code]').should('be.visible');
      cy.task('vestibule:code', { address: 'ada@example.com', since }).then((code) => {
        cy.get('input[name=code]').type(code);
        cy.contains('button', 'Continue').click();
      });
    });
    cy.contains('h1', 'Welcome');
    cy.contains('ada@example.com');
  });
});
