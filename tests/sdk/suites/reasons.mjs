// Why a test of an SDK's suite does not pass. A reason alone lets no test fail: docs/COMPATIBILITY.md lists which do.
// The first that fits is the reason.

const reasons = [
  // Python
  ['Python', /^test_(actions|connected_accounts|mcp|providers|tools)\.py /, 'connected accounts, providers, tools and MCP servers are not emulated'],
  ['Python', /^test_resource\.py /, 'resources and their clients are not emulated, and `res_90805895235109156` is a resource of Scalekit\'s own test environment'],
  ['Python', /^test_connection\.py /, 'connections cannot be created: social and enterprise sign-in are not emulated'],
  ['Python', /^test_directory\.py /, 'directories are not emulated'],
  ['Python', /^test_events\.py /, 'the list of events is not emulated'],
  ['Python', /^test_webauthn_credentials\.py /, 'passkeys are not emulated; the tests want a user with one'],
  // Go
  ['Go', /^ TestConnection_/, 'connections cannot be created: social and enterprise sign-in are not emulated'],
  ['Go', /^ TestDirectory_/, 'directories are not emulated'],
  ['Go', /^ TestListEventsPaginated$/, 'the list of events is not emulated'],
  ['Go', /^ TestAuthServiceUpdateLoginUserDetailsLive$/, 'wants a login request of an application that brings its own users, which is not emulated'],
];

/** The reason for a test, or nothing. */
export function reasonFor(sdk, file, test) {
  const found = reasons.find(([suite, pattern]) => sdk.startsWith(`${suite} `) && pattern.test(`${file} ${test}`));
  return found?.[2];
}
