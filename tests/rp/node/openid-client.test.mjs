// npm openid-client, unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as client from 'openid-client';
import { report, signInOverHttp, spoilTokens, startVestibule } from './support.mjs';

const callback = 'http://localhost:3000/auth/callback';
let vestibule;
let config;

before(async () => {
  vestibule = await startVestibule();
  const execute = [client.allowInsecureRequests];
  config = await client.discovery(new URL(vestibule.url), vestibule.clientId, vestibule.clientSecret, undefined, { execute });
});
after(() => vestibule?.stop());

async function signIn(address) {
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: 'openid email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  });
  const back = await signInOverHttp(vestibule, url, address);
  return client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
}

test('openid-client signs a person in, refreshes, asks, revokes and signs out', async () => {
  const tokens = await signIn('jane@example.com');
  assert.equal(tokens.claims().email, 'jane@example.com');
  const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert.equal(info.email, 'jane@example.com');
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.equal((await client.tokenIntrospection(config, renewed.access_token)).active, true);
  await client.tokenRevocation(config, renewed.refresh_token);
  assert.equal((await client.tokenIntrospection(config, renewed.access_token)).active, false);
  await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), { error: 'invalid_grant' });
  const own = await client.clientCredentialsGrant(config);
  assert.equal(own.expires_in, 86399);
  const logout = client.buildEndSessionUrl(config, { post_logout_redirect_uri: 'http://localhost:3000/' });
  const response = await fetch(logout, { redirect: 'manual' });
  assert.equal(response.headers.get('location'), 'http://localhost:3000/');
  await spoilTokens(vestibule, 'wrong_issuer');
  await assert.rejects(signIn('eve@example.com'), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' });
  report('openid-client', 'JavaScript', ['discovery', 'PKCE', 'nonce', 'UserInfo', 'refresh', 'introspection', 'revocation', 'client credentials', 'logout', 'refuses a wrong issuer']);
});
