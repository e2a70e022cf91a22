// Types and descriptions are in cypress.d.ts.

export function vestibuleTasks(vestibule) {
  // Cypress takes undefined for a mistake: where there is nothing to tell, tasks give null.
  return {
    'vestibule:cursor': async (address) => (await vestibule.inbox(address)).cursor,
    'vestibule:code': ({ address, since }) => vestibule.waitForCode(address, { since }),
    'vestibule:link': ({ address, since }) => vestibule.waitForLink(address, { since }),
    'vestibule:message': ({ address, since }) => vestibule.waitForMessage(address, { since }),
    'vestibule:sign-in': ({ email, authorizationUrl }) => vestibule.signIn(email, authorizationUrl),
    'vestibule:advance': (seconds) => vestibule.clock.advance(seconds),
    'vestibule:settings': (changes) => vestibule.settings.change(changes),
    'vestibule:reset': async () => {
      await vestibule.reset();
      return null;
    },
  };
}
