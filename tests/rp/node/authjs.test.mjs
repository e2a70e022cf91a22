// npm @auth/core (Auth.js, NextAuth), unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Auth } from '@auth/core';
import { Visitor, report, spoilTokens, startVestibule } from './support.mjs';

const home = 'http://localhost:3000';
let vestibule;
let config;

before(async () => {
  vestibule = await startVestibule();
  config = {
    basePath: '/auth',
    secret: 'a secret of the test that is long enough',
    trustHost: true,
    logger: { error() {}, warn() {}, debug() {} },
    providers: [{
      id: 'vestibule',
      name: 'Vestibule',
      type: 'oidc',
      issuer: vestibule.url,
      clientId: vestibule.clientId,
      clientSecret: vestibule.clientSecret,
      checks: ['pkce', 'state', 'nonce'],
    }],
  };
});
after(() => vestibule?.stop());

async function signIn(visitor, address) {
  const { csrfToken } = await (await visitor.open(`${home}/auth/csrf`)).json();
  const redirect = await visitor.open(`${home}/auth/signin/vestibule`, { form: { csrfToken, callbackUrl: `${home}/` } });
  return visitor.signIn(vestibule, redirect, address);
}

test('Auth.js signs a person in and keeps a session', async () => {
  const visitor = new Visitor((request) => Auth(request, config));
  const back = await signIn(visitor, 'jane@example.com');
  assert.equal(back.headers.get('location'), `${home}/`);
  const session = await (await visitor.open(`${home}/auth/session`)).json();
  assert.equal(session.user.email, 'jane@example.com');
  await spoilTokens(vestibule, 'wrong_issuer');
  const refused = await signIn(new Visitor((request) => Auth(request, config)), 'eve@example.com');
  assert.match(refused.headers.get('location'), /error=/);
  report('@auth/core', 'JavaScript', ['discovery', 'PKCE', 'state', 'nonce', 'refuses a wrong issuer']);
});
