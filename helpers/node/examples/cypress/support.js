import '@vestibule-idp/testing/cypress-commands';
